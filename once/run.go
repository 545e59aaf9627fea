package once

import (
	"context"
	"database/sql"
	"runtime/debug"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// effect runs a call under the second guard.
func (r *runner[In, Out]) effect(ctx context.Context, a *attempt, e *effect, in In) (protocol.Raw, error) {
	if r.task.Batches != nil {
		return r.batches(ctx, a, e, in)
	}
	var result protocol.Raw
	var t *Tx
	options := r.task.Tx
	options.Retried = func(int, error) { a.conflicts++ }
	err := lockutil.InTx(ctx, r.kit.config.Store.DB.DB, options, func(tx *sql.Tx) error {
		result, t, a.row.Reused = nil, nil, false
		found, err := e.begin(ctx, tx)
		if err != nil {
			return err
		}
		if found != nil && found.done {
			result, a.row.Reused = found.result, true
			return nil
		}
		if err := r.checkRun(ctx, a, tx); err != nil {
			return err
		}
		t = &Tx{tx: tx, attempt: a}
		value, err := r.task.Do(ctx, t, in)
		if err != nil {
			return err
		}
		if result, err = encode(value); err != nil {
			return err
		}
		return e.end(ctx, tx, true, result, nil, t.rows)
	})
	if err != nil {
		return nil, err
	}
	r.kit.at("after commit")
	if t != nil {
		a.row.RowsWritten = t.rows
		for _, fn := range t.after {
			fn()
		}
	}
	return result, nil
}

func (r *runner[In, Out]) checkRun(ctx context.Context, a *attempt, tx *sql.Tx) error {
	if a.dimensions.PredictionRunID == "" || r.task.OwnRun {
		return nil
	}
	return store.CheckRun(ctx, tx, a.dimensions.PredictionRunID)
}

func encode(value any) (protocol.Raw, error) {
	raw, err := protocol.Marshal(value)
	if err != nil {
		return nil, tasks.EncodeError(err)
	}
	return raw, nil
}

func panicked(value any) error { return &tasks.Panic{Value: value, Stack: debug.Stack()} }
