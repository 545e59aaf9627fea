package lockutil

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrFenced says that the database has seen a newer holder of the lock: what the caller was about to write is not to be written.
var ErrFenced = errors.New("a newer holder of the lock has written: fenced off")

// Stale is the error of a refused number.
type Stale struct {
	Key string
	// Number is the caller's, Seen the greatest that the database knows.
	Number, Seen int64
}

// Error names both numbers.
func (s *Stale) Error() string {
	return fmt.Sprintf("lock %s: number %d is older than %d: %s", s.Key, s.Number, s.Seen, ErrFenced)
}

// Unwrap gives ErrFenced.
func (s *Stale) Unwrap() error { return ErrFenced }

// CheckFence compares a lease's number with the greatest that was written under for its key, and writes it down, in the transaction of the write: an older one is refused with a
// *Stale, and the transaction must be rolled back. It locks the key's row in lovage.fences until the transaction ends, so make it the last statement before the commit, or the
// first one if writers of the key are to be one after the other.
func CheckFence(ctx context.Context, tx *sql.Tx, key string, number int64) error {
	var kept int64
	err := tx.QueryRowContext(ctx, `INSERT INTO lovage.fences AS f (key, number) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET number = greatest(f.number, excluded.number), seen_at = now() RETURNING number`, key, number).Scan(&kept)
	if err != nil {
		return fmt.Errorf("check the fence of lock %s: %w", key, err)
	}
	if kept > number {
		return &Stale{Key: key, Number: number, Seen: kept}
	}
	return nil
}

// Floor is the greatest number that the database has seen on any key: for Config.Floor.
func Floor(ctx context.Context, db *sql.DB) (int64, error) {
	var number int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM lovage.fences").Scan(&number); err != nil {
		return 0, fmt.Errorf("read the greatest number of all fences: %w", err)
	}
	return number, nil
}
