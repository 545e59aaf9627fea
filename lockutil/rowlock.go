package lockutil

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// RowLock is what SELECT does about rows that others have locked.
type RowLock string

const (
	// ForUpdate waits for them; lock_timeout bounds the wait.
	ForUpdate RowLock = "FOR UPDATE"
	// NoWait fails at once with an error that wraps ErrHeld.
	NoWait RowLock = "FOR UPDATE NOWAIT"
	// SkipLocked leaves them out: a queue's way.
	SkipLocked RowLock = "FOR UPDATE SKIP LOCKED"
)

// Select runs a SELECT with the row lock added at its end and hands each row to scan. Rows stay locked until the transaction ends. Let the query order its rows: two transactions that
// lock the same rows in one order cannot deadlock.
func (r RowLock) Select(ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query+" "+string(r), args...)
	if err != nil {
		return rowLockError(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rowLockError(rows.Err())
}

// Row is Select for one row; without one the error is sql.ErrNoRows.
func (r RowLock) Row(ctx context.Context, tx *sql.Tx, dest []any, query string, args ...any) error {
	found := false
	err := r.Select(ctx, tx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(dest...)
	}, query, args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

func rowLockError(err error) error {
	switch {
	case err == nil:
		return nil
	case IsLockTimeout(err):
		return errors.Join(fmt.Errorf("lock rows: %w", ErrHeld), err)
	}
	return fmt.Errorf("lock rows: %w", err)
}
