package once

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
)

const (
	// The unique key makes a second one wait here until the first has committed or rolled back. The WHERE finds what is there without it.
	claimEffect = `INSERT INTO lovage.effects (task, key, input, task_id) SELECT $1, $2, $3, $4
WHERE NOT EXISTS (SELECT 1 FROM lovage.effects WHERE task = $1 AND key = $2) ON CONFLICT DO NOTHING`

	readEffect = `SELECT input, done, coalesce(result, ''), coalesce(progress, '') FROM lovage.effects WHERE task = $1 AND key = $2`

	// One round trip stores the result, or the progress, and checks the lock's number. $7 is the lock's key, $8 its number, 0 without a lock.
	finishEffect = `WITH fence AS (
  INSERT INTO lovage.fences AS f (key, number) SELECT $7::text, $8::bigint WHERE $8::bigint > 0
  ON CONFLICT (key) DO UPDATE SET number = greatest(f.number, excluded.number), seen_at = now() RETURNING number)
UPDATE lovage.effects SET done = $3, result = $4, progress = $5, rows = rows + $6, done_at = CASE WHEN $3 THEN now() END
WHERE task = $1 AND key = $2 RETURNING coalesce((SELECT number FROM fence), 0)`
)

// effect is the idempotency row of one run.
type effect struct {
	kit       *Kit
	task, key string
	input     []byte
	taskID    string
	held      *lockutil.Held
	lockKeys  []string
}

// state is what the row said.
type state struct {
	done     bool
	result   protocol.Raw
	progress protocol.Raw
}

// begin writes the row, or finds it: found is nil when this run is the first.
func (e *effect) begin(ctx context.Context, tx *sql.Tx) (found *state, err error) {
	result, err := tx.StmtContext(ctx, e.kit.claim).ExecContext(ctx, e.task, e.key, e.input, e.taskID)
	if err != nil {
		return nil, fmt.Errorf("claim the effect %s: %w", e.key, err)
	}
	if n, _ := result.RowsAffected(); n == 1 {
		return nil, nil
	}
	var input []byte
	var s state
	var stored, progress string
	err = tx.StmtContext(ctx, e.kit.prior).QueryRowContext(ctx, e.task, e.key).Scan(&input, &s.done, &stored, &progress)
	if err != nil {
		return nil, fmt.Errorf("read the effect %s: %w", e.key, err)
	}
	if !bytes.Equal(input, e.input) {
		return nil, fmt.Errorf("%s %s: %w", e.task, e.key, ErrDifferentInput)
	}
	s.result, s.progress = protocol.Raw(stored), protocol.Raw(progress)
	return &s, nil
}

// end stores result or progress and checks the lock, in the transaction of the effect: nothing may come after it but the commit.
func (e *effect) end(ctx context.Context, tx *sql.Tx, done bool, result, progress protocol.Raw, rows int64) error {
	key, number := "", int64(0)
	if e.held != nil {
		if err := e.held.Err(); err != nil {
			return err
		}
		key, number = e.lockKeys[0], e.held.Number(e.lockKeys[0])
		for _, other := range e.lockKeys[1:] {
			if err := lockutil.CheckFence(ctx, tx, other, e.held.Number(other)); err != nil {
				return err
			}
		}
	}
	text := func(raw protocol.Raw) sql.NullString { return sql.NullString{String: string(raw), Valid: len(raw) > 0} }
	var seen int64
	err := tx.StmtContext(ctx, e.kit.finish).QueryRowContext(ctx, e.task, e.key, done, text(result), text(progress), rows, key, number).Scan(&seen)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("the row of the effect %s is gone", e.key)
	case err != nil:
		return fmt.Errorf("store the effect %s: %w", e.key, err)
	case seen > number:
		return &lockutil.Stale{Key: key, Number: number, Seen: seen}
	}
	e.kit.at("before commit")
	return nil
}
