// Package ledger writes one row per attempt of a task: when it was queued, started and finished, about what, under which lock, what it wrote, why it failed, and the input as it came.
//
//	Begin(row), End(row)  ──▶ buffer ──▶ one INSERT per batch ──▶ lovage.attempts
//	  never wait                │ the database is away
//	                            ▼
//	                        spill files ──▶ caught up with, oldest first, when it is back
//
// A task never waits for its ledger: Begin and End take a lock for less than a microsecond each, and do no I/O. When the buffer and the spill files are full the oldest rows are
// dropped, counted and said. A row is written once the attempt has ended; one that is still running after a flush interval is written as running first, so that it is seen.
package ledger
