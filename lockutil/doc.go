// Package lockutil holds the two kinds of locks that heavy tasks need, and says what each of them does not promise.
//
//	Redis       Locker.Lock(ctx, Request{Keys: ...}) ──▶ Held      a lease: renewed while held, with a number that only grows
//	                exclusive · semaphore (Holders: n) · read/write (Shared: true) · several keys in one order
//	            Held.Context()     ends with ErrLost as its cause when the lease is gone
//	            Locker.List, Break who holds what since when; take it away
//
//	PostgreSQL  InTx               a transaction with timeouts; deadlocks and serialization failures run again
//	            AdvisoryTx, Advisory, RowLock     locks that end with their transaction or session
//	            CheckFence         in the writing transaction: refuses whoever holds an older number than the database has seen
//
// A Redis lease keeps work from being done twice at once, nearly always. It does not keep a result from being written twice: a process that is
// paused past its lease goes on when it wakes, not knowing that another holds the key by then; a Redis that fails over may forget a lock that it
// has given out. What must not happen twice is for the database to refuse: a unique key, a row lock, and the lease's number, checked by
// CheckFence in the same transaction that writes. That second guard never relies on the first.
package lockutil
