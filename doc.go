// Package lovage is the root of the Lovage module: a Go worker fleet and beat scheduler that speak Celery's protocol over
// Redis. The code lives in the packages below it; start with worker.
package lovage
