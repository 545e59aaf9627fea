// Package template measures the task template (lock, transaction, effect, ledger) beside the same guarantees written by hand in Python on Celery, and beside River's transactional jobs, on one
// PostgreSQL with fsync on: make bench-template.
package template
