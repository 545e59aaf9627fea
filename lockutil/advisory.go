package lockutil

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"time"
)

// AdvisoryKey is the number under which PostgreSQL knows an advisory lock of the given name. Two names may share a number, one time in 2^64: they then wait for each
// other without need, and nothing else happens.
func AdvisoryKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return int64(h.Sum64())
}

// AdvisoryTx takes an advisory lock that ends with the transaction, waiting for whoever holds it (lock_timeout bounds the wait).
func AdvisoryTx(ctx context.Context, tx *sql.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", AdvisoryKey(name)); err != nil {
		return fmt.Errorf("advisory lock %s: %w", name, err)
	}
	return nil
}

// TryAdvisoryTx takes an advisory lock that ends with the transaction if it is free; otherwise the error wraps ErrHeld.
func TryAdvisoryTx(ctx context.Context, tx *sql.Tx, name string) error {
	var got bool
	err := tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", AdvisoryKey(name)).Scan(&got)
	if err == nil && !got {
		err = ErrHeld
	}
	if err != nil {
		return fmt.Errorf("advisory lock %s: %w", name, err)
	}
	return nil
}

// Advisory is an advisory lock of a session: it outlives transactions, and ends with Release or with its connection.
type Advisory struct {
	conn *sql.Conn
	name string
}

// LockAdvisory takes a session's advisory lock on a connection of its own, waiting until ctx ends.
func LockAdvisory(ctx context.Context, db *sql.DB, name string) (*Advisory, error) {
	return advisory(ctx, db, name, "SELECT true FROM pg_advisory_lock($1)")
}

// TryLockAdvisory takes it if it is free; otherwise the error wraps ErrHeld.
func TryLockAdvisory(ctx context.Context, db *sql.DB, name string) (*Advisory, error) {
	return advisory(ctx, db, name, "SELECT pg_try_advisory_lock($1)")
}

func advisory(ctx context.Context, db *sql.DB, name, statement string) (*Advisory, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("advisory lock %s: %w", name, err)
	}
	var got bool
	err = conn.QueryRowContext(ctx, statement, AdvisoryKey(name)).Scan(&got)
	if err == nil && !got {
		err = ErrHeld
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("advisory lock %s: %w", name, err), conn.Close())
	}
	return &Advisory{conn: conn, name: name}, nil
}

// Check tells whether the session, and with it the lock, still stands.
func (a *Advisory) Check(ctx context.Context) error {
	if err := a.conn.PingContext(ctx); err != nil {
		return fmt.Errorf("advisory lock %s: %w: %w", a.name, ErrLost, err)
	}
	return nil
}

// Release gives the lock back. When the session was lost the lock was, too, and the error wraps ErrLost.
func (a *Advisory) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var had bool
	err := a.conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", AdvisoryKey(a.name)).Scan(&had)
	if err == nil && had {
		return a.conn.Close()
	}
	// The connection may still hold the lock: it must not go back to the pool.
	_ = a.conn.Raw(func(any) error { return errors.New("closed") })
	return errors.Join(fmt.Errorf("release advisory lock %s: %w", a.name, ErrLost), err, a.conn.Close())
}
