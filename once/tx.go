package once

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// Tx is the transaction in which a handler has its effect. It is committed with the result when the handler returns without an error, and rolled back otherwise.
type Tx struct {
	tx      *sql.Tx
	attempt *attempt
	rows    int64
	depth   int
	after   []func()
}

// Exec runs a statement and counts the rows that it wrote.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	t.rows += n
	return n, err
}

// Query reads rows.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRow reads one row. Rows that are written by a RETURNING are for the caller to count, with Wrote.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// Stmt runs a prepared statement in the transaction.
func (t *Tx) Stmt(ctx context.Context, stmt *sql.Stmt) *sql.Stmt { return t.tx.StmtContext(ctx, stmt) }

// Wrote counts rows that were written by other means than Exec: COPY, RETURNING, SQL.
func (t *Tx) Wrote(n int64) { t.rows += n }

// SQL is the transaction itself, for lockutil's and the store's functions. Do not commit it or roll it back.
func (t *Tx) SQL() *sql.Tx { return t.tx }

// Dimensions are the message's.
func (t *Tx) Dimensions() tasks.Dimensions { return t.attempt.dimensions }

// Savepoint runs fn; when it fails, what it wrote is undone and the transaction goes on, and the error is returned.
func (t *Tx) Savepoint(ctx context.Context, fn func() error) error {
	t.depth++
	defer func() { t.depth-- }()
	name := fmt.Sprintf("lovage_%d", t.depth)
	if _, err := t.tx.ExecContext(ctx, "SAVEPOINT "+name); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	rows := t.rows
	if err := fn(); err != nil {
		t.rows = rows
		if _, undo := t.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+name+"; RELEASE SAVEPOINT "+name); undo != nil {
			return fmt.Errorf("undo to savepoint: %w (after %w)", undo, err)
		}
		return err
	}
	if _, err := t.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+name); err != nil {
		return fmt.Errorf("release savepoint: %w", err)
	}
	return nil
}

// Send enqueues a task that is sent when the transaction has committed, and only then. It carries this message's dimensions as headers, unless it names its own.
func (t *Tx) Send(ctx context.Context, message store.Message) (id string, err error) {
	headers := t.attempt.dimensions.Map()
	if len(message.Headers) > 0 {
		if err := json.Unmarshal(message.Headers, &headers); err != nil {
			return "", fmt.Errorf("send %s: headers: %w", message.Task, err)
		}
	}
	if headers["correlation_id"] == "" && t.attempt.row.CorrelationID != "" {
		headers["correlation_id"] = t.attempt.row.CorrelationID
	}
	headers["lovage_root_id"] = t.attempt.row.RootID
	headers["lovage_parent_id"] = t.attempt.row.TaskID
	if message.Headers, err = json.Marshal(headers); err != nil {
		return "", err
	}
	return store.Enqueue(ctx, t.tx, message)
}

// Refreshed notes cache keys for the ledger.
func (t *Tx) Refreshed(keys ...string) {
	t.attempt.row.CacheKeys = append(t.attempt.row.CacheKeys, keys...)
}

// AfterCommit runs fn once the effect stands: to fill a cache, say. It may be lost with the process: what must happen belongs into the transaction or the outbox.
func (t *Tx) AfterCommit(fn func()) { t.after = append(t.after, fn) }
