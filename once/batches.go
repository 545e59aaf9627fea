package once

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// ErrOvertaken says that another run of the same effect has gone on from where this one was: two ran at once, and only one of them writes.
var ErrOvertaken = errors.New("another run of this effect has gone on")

// Batches is an effect in many transactions. Each batch is committed with the place where the next one begins: a run that is killed goes on from its last batch, and each batch is
// written once, even by two runs at once. What readers may see before the end is for the handler to arrange: rows under a prediction run that is not active yet, say.
type Batches struct {
	effect   *effect
	attempt  *attempt
	options  lockutil.TxOptions
	progress protocol.Raw
	rows     int64
}

// Resume stores the progress of the last committed batch in the value that p points to; a first run leaves it as it is.
func (b *Batches) Resume(p any) error {
	if len(b.progress) == 0 {
		return nil
	}
	if err := json.Unmarshal(b.progress, p); err != nil {
		return fmt.Errorf("progress of %s: %w", b.effect.key, err)
	}
	return nil
}

// Step runs one batch in a transaction of its own, and commits it together with the progress that a later run resumes from.
func (b *Batches) Step(ctx context.Context, progress any, fn func(tx *Tx) error) error {
	next, err := json.Marshal(progress)
	if err != nil {
		return fmt.Errorf("progress of %s: %w", b.effect.key, err)
	}
	var t *Tx
	err = lockutil.InTx(ctx, b.effect.kit.config.Store.DB.DB, b.options, func(tx *sql.Tx) error {
		var now sql.NullString
		if err := lockutil.ForUpdate.Row(ctx, tx, []any{&now}, "SELECT progress FROM lovage.effects WHERE task = $1 AND key = $2 AND NOT done", b.effect.task, b.effect.key); err != nil {
			return fmt.Errorf("progress of %s: %w", b.effect.key, err)
		}
		if now.String != string(b.progress) {
			return fmt.Errorf("%s: %w", b.effect.key, Retryable("overtaken", ErrOvertaken))
		}
		t = &Tx{tx: tx, attempt: b.attempt}
		if err := fn(t); err != nil {
			return err
		}
		return b.effect.end(ctx, tx, false, nil, next, t.rows)
	})
	if err != nil {
		return err
	}
	b.progress = next
	b.rows += t.rows
	for _, fn := range t.after {
		fn()
	}
	return nil
}

func (r *runner[In, Out]) batches(ctx context.Context, a *attempt, e *effect, in In) (protocol.Raw, error) {
	options := r.task.Tx
	options.Retried = func(int, error) { a.conflicts++ }
	db := r.kit.config.Store.DB.DB
	var found *state
	err := lockutil.InTx(ctx, db, options, func(tx *sql.Tx) (err error) {
		if found, err = e.begin(ctx, tx); err != nil || found != nil && found.done {
			return err
		}
		return r.checkRun(ctx, a, tx)
	})
	if err != nil {
		return nil, err
	}
	b := &Batches{effect: e, attempt: a, options: options}
	if found != nil {
		if found.done {
			a.row.Reused = true
			return found.result, nil
		}
		b.progress = found.progress
	}
	value, err := r.task.Batches(ctx, b, in)
	a.row.RowsWritten = b.rows
	if err != nil {
		return nil, err
	}
	result, err := encode(value)
	if err != nil {
		return nil, err
	}
	err = lockutil.InTx(ctx, db, options, func(tx *sql.Tx) error { return e.end(ctx, tx, true, result, b.progress, 0) })
	if err != nil {
		return nil, err
	}
	r.kit.at("after commit")
	return result, nil
}

// Dimensions are the message's.
func (b *Batches) Dimensions() tasks.Dimensions { return b.attempt.dimensions }
