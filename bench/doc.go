// Package bench measures a Lovage worker against a Python Celery worker, side by side: the same Redis, the same machine, the same messages as Celery
// wrote them, in turn. Its numbers are for the README; `make bench` prints them.
package bench
