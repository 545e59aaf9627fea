// Package testenv starts real parts for tests: a private redis-server, a private PostgreSQL, real Python Celery. Each has a free port and its own
// data folder, nothing depends on what runs on the machine, and everything is stopped for sure: by the test's cleanup, and by the kernel
// when the test binary itself is killed. A part that is not installed fails the test; it is never skipped.
package testenv
