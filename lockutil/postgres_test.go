package lockutil_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/lockutil"
)

func database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", testenv.Postgres(t, "deadlock_timeout=100ms").DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{"CREATE SCHEMA lovage", "CREATE TABLE lovage.fences (key text PRIMARY KEY, number bigint NOT NULL, seen_at timestamptz NOT NULL DEFAULT now())",
		"CREATE TABLE it (id int PRIMARY KEY, n int NOT NULL)", "INSERT INTO it VALUES (1, 0), (2, 0)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestPostgres(t *testing.T) {
	db := database(t)
	t.Run("a deadlock is run again and both finish", func(t *testing.T) { deadlock(t, db) })
	t.Run("serialization failures are run again", func(t *testing.T) { serialization(t, db) })
	t.Run("an older number is refused", func(t *testing.T) { fenced(t, db) })
	t.Run("advisory locks", func(t *testing.T) { advisory(t, db) })
	t.Run("row locks", func(t *testing.T) { rows(t, db) })
	t.Run("a transaction that stands still is ended by the server", func(t *testing.T) {
		err := lockutil.InTx(t.Context(), db, lockutil.TxOptions{IdleTimeout: 50 * time.Millisecond}, func(tx *sql.Tx) error {
			<-time.After(300 * time.Millisecond)
			_, err := tx.Exec("UPDATE it SET n = -1")
			return err
		})
		if err == nil {
			t.Error("it could write after it had stood still")
		}
	})
}

func deadlock(t *testing.T, db *sql.DB) {
	var retried atomic.Int32
	var both sync.WaitGroup
	var meet sync.WaitGroup
	meet.Add(2)
	for i := range 2 {
		both.Go(func() {
			first := true
			err := lockutil.InTx(t.Context(), db, lockutil.TxOptions{Retried: func(int, error) { retried.Add(1) }}, func(tx *sql.Tx) error {
				if _, err := tx.Exec("UPDATE it SET n = n + 1 WHERE id = $1", 1+i); err != nil {
					return err
				}
				if first {
					first = false
					meet.Done()
					meet.Wait()
				}
				_, err := tx.Exec("UPDATE it SET n = n + 1 WHERE id = $1", 2-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	var sum int
	if err := db.QueryRow("SELECT sum(n) FROM it").Scan(&sum); err != nil || sum != 4 || retried.Load() == 0 {
		t.Errorf("sum %d, retried %d, %v", sum, retried.Load(), err)
	}
}

func serialization(t *testing.T, db *sql.DB) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				err := lockutil.InTx(t.Context(), db, lockutil.TxOptions{Isolation: sql.LevelSerializable, Attempts: 200}, func(tx *sql.Tx) error {
					var n int
					if err := tx.QueryRow("SELECT sum(n) FROM it").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec("UPDATE it SET n = n + 1 WHERE id = 1")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var sum int
	if err := db.QueryRow("SELECT sum(n) FROM it").Scan(&sum); err != nil || sum != 24 {
		t.Errorf("sum %d, %v", sum, err)
	}
}

func fenced(t *testing.T, db *sql.DB) {
	check := func(number int64) error {
		return lockutil.InTx(t.Context(), db, lockutil.TxOptions{}, func(tx *sql.Tx) error { return lockutil.CheckFence(t.Context(), tx, "k", number) })
	}
	for _, c := range []struct {
		number int64
		ok     bool
	}{{10, true}, {10, true}, {9, false}, {11, true}, {10, false}} {
		err := check(c.number)
		var stale *lockutil.Stale
		if (err == nil) != c.ok || !c.ok && !errors.As(err, &stale) {
			t.Errorf("number %d: %v", c.number, err)
		}
	}
	if n, err := lockutil.Floor(t.Context(), db); err != nil || n != 11 {
		t.Errorf("floor %d, %v", n, err)
	}
}

func advisory(t *testing.T, db *sql.DB) {
	lock, err := lockutil.LockAdvisory(t.Context(), db, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockutil.TryLockAdvisory(t.Context(), db, "a"); !errors.Is(err, lockutil.ErrHeld) {
		t.Errorf("taken twice: %v", err)
	}
	err = lockutil.InTx(t.Context(), db, lockutil.TxOptions{}, func(tx *sql.Tx) error { return lockutil.TryAdvisoryTx(t.Context(), tx, "a") })
	if !errors.Is(err, lockutil.ErrHeld) {
		t.Errorf("taken by a transaction, too: %v", err)
	}
	if err := errors.Join(lock.Check(t.Context()), lock.Release(t.Context())); err != nil {
		t.Error(err)
	}
	err = lockutil.InTx(t.Context(), db, lockutil.TxOptions{}, func(tx *sql.Tx) error { return lockutil.AdvisoryTx(t.Context(), tx, "a") })
	if err != nil {
		t.Error(err)
	}
}

func rows(t *testing.T, db *sql.DB) {
	err := lockutil.InTx(t.Context(), db, lockutil.TxOptions{}, func(tx *sql.Tx) error {
		var id int
		if err := lockutil.ForUpdate.Row(t.Context(), tx, []any{&id}, "SELECT id FROM it WHERE id = 1"); err != nil {
			return err
		}
		return lockutil.InTx(t.Context(), db, lockutil.TxOptions{LockTimeout: 50 * time.Millisecond}, func(other *sql.Tx) error {
			if err := lockutil.SkipLocked.Row(t.Context(), other, []any{&id}, "SELECT id FROM it ORDER BY id LIMIT 1"); err != nil || id != 2 {
				t.Errorf("skip locked found row %d, %v", id, err)
			}
			if err := lockutil.ForUpdate.Row(t.Context(), other, []any{&id}, "SELECT id FROM it WHERE id = 3"); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("a row that is not there: %v", err)
			}
			if _, err := other.Exec("SAVEPOINT s"); err != nil {
				return err
			}
			if err := lockutil.NoWait.Row(t.Context(), other, []any{&id}, "SELECT id FROM it WHERE id = 1"); !errors.Is(err, lockutil.ErrHeld) {
				t.Errorf("nowait: %v", err)
			}
			if _, err := other.Exec("ROLLBACK TO s"); err != nil {
				return err
			}
			if err := lockutil.ForUpdate.Row(t.Context(), other, []any{&id}, "SELECT id FROM it WHERE id = 1"); !lockutil.IsLockTimeout(err) {
				t.Errorf("lock_timeout: %v", err)
			}
			return context.Canceled // the transaction is of no more use
		})
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
