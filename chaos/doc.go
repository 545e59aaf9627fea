// Package chaos holds the fault tests: a fleet of real worker processes, Lovage's and Python's, is killed, stopped, cut off and starved while tasks run, and afterwards every task
// is accounted for by its id in a ledger that the faults do not touch.
//
// `go test ./chaos` runs each fault in a short form, `make chaos` in full size; `make chaos ONLY=Kill` runs the ones whose name matches. docs/faults.md describes them.
package chaos
