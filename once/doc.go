// Package once is the task template: a handler written on it has its database effect exactly once, however often its message is delivered, retried or sent again.
//
//	once.Handle(w, kit, once.Task[In, Out]{
//		Name:  "task_claim_calc",
//		Needs: []tasks.Dimension{tasks.AccessMode, tasks.ProductID},
//		Key:   func(d tasks.Dimensions, in In) string { return in.Policy },
//		Do:    func(ctx context.Context, tx *once.Tx, in In) (Out, error) { ... },
//	})
//
//	message ─▶ dimensions ─▶ Redis lock ─▶ BEGIN ─ idempotency row ─ Do ─ result, fence ─ COMMIT ─▶ release ─▶ ledger
//	           refused with    held by        │
//	           a code before   others: again  └─ the row is there: its result is returned, nothing runs
//	           any lock
//
// Two guards, and neither relies on the other. The Redis lock keeps work from being done twice at once. The transaction keeps it from being written twice: the row of the key is
// unique, the effect and the result are committed together with it, and the lock's number is checked in the same transaction. What Do does outside of tx is not guarded.
//
// The key is the message's, within its access mode and prediction run: two modes or two runs never share an effect. The same key with another input is an error.
package once
