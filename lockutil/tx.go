package lockutil

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lib/pq"
)

// TxOptions say how a transaction runs. The zero value: read committed, no timeouts of its own, five attempts.
type TxOptions struct {
	// Isolation level; default the server's (read committed).
	Isolation sql.IsolationLevel
	// LockTimeout bounds each wait for a lock (lock_timeout), StatementTimeout each statement (statement_timeout), IdleTimeout how long the transaction may stand
	// still (idle_in_transaction_session_timeout): a paused process then loses its transaction instead of blocking others. 0: the server's.
	LockTimeout, StatementTimeout, IdleTimeout time.Duration
	// Attempts is how often a transaction that ended in a deadlock or a serialization failure is run in all. Default 5.
	Attempts int
	// Retried, when set, is told of every attempt that is run again.
	Retried func(attempt int, err error)
}

// InTx runs fn in a transaction and commits it. A deadlock (40P01) or serialization failure (40001), in fn or in the commit, is run again after a short random pause:
// fn must have no effects outside of tx. Any other error, or a panic, rolls back.
func InTx(ctx context.Context, db *sql.DB, options TxOptions, fn func(*sql.Tx) error) error {
	most := options.Attempts
	if most <= 0 {
		most = 5
	}
	for attempt := 1; ; attempt++ {
		err := once(ctx, db, options, fn)
		if err == nil || !IsConflict(err) || attempt >= most || ctx.Err() != nil {
			return err
		}
		if options.Retried != nil {
			options.Retried(attempt, err)
		}
		if pauseErr := pause(ctx, rand.N(time.Duration(attempt)*10*time.Millisecond)); pauseErr != nil {
			return errors.Join(err, pauseErr)
		}
	}
}

func once(ctx context.Context, db *sql.DB, options TxOptions, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: options.Isolation})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := SetTimeouts(ctx, tx, options); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// SetTimeouts applies the timeouts of the options to the transaction, and to it alone.
func SetTimeouts(ctx context.Context, tx *sql.Tx, options TxOptions) error {
	if options.LockTimeout <= 0 && options.StatementTimeout <= 0 && options.IdleTimeout <= 0 {
		return nil
	}
	set := func(name string, d time.Duration) string {
		if d <= 0 {
			return ""
		}
		return fmt.Sprintf("SET LOCAL %s = %d;", name, max(1, d.Milliseconds()))
	}
	statements := set("lock_timeout", options.LockTimeout) + set("statement_timeout", options.StatementTimeout) +
		set("idle_in_transaction_session_timeout", options.IdleTimeout)
	if _, err := tx.ExecContext(ctx, statements); err != nil {
		return fmt.Errorf("set timeouts: %w", err)
	}
	return nil
}

// IsConflict tells that a transaction failed only because of others at the same time: run again it may succeed.
func IsConflict(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

// IsLockTimeout tells that a row or table was locked by others for too long: lock_timeout, or NOWAIT.
func IsLockTimeout(err error) bool { return sqlState(err) == "55P03" }

// IsUnique tells that a row exists already.
func IsUnique(err error) bool { return sqlState(err) == "23505" }

func sqlState(err error) string {
	var failure *pq.Error
	if !errors.As(err, &failure) {
		return ""
	}
	return string(failure.Code)
}
