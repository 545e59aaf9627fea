package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Message is an entry of the outbox: a task to be sent when the transaction has committed, or an invalidation.
type Message struct {
	Seq   int64  `db:"seq"`
	ID    string `db:"id"`
	Topic string `db:"topic"`
	// OrderKey is for people; Queue default "celery".
	OrderKey string          `db:"order_key"`
	Queue    string          `db:"queue"`
	Task     string          `db:"task"`
	Args     json.RawMessage `db:"args"`
	Kwargs   json.RawMessage `db:"kwargs"`
	Headers  json.RawMessage `db:"headers"`
	ETA      sql.NullTime    `db:"eta"`
	Expires  sql.NullTime    `db:"expires"`
	Priority int             `db:"priority"`
	Payload  json.RawMessage `db:"payload"`
}

// Enqueue writes a task into the outbox, in the transaction tx: it is sent if that commits, and once. It returns the task's id, which is Message.ID when that is set. Other programs do the same with a
// plain INSERT INTO lovage.outbox (queue, task, args, kwargs) ... RETURNING id.
func Enqueue(ctx context.Context, tx Querier, m Message) (id string, err error) {
	text := func(raw json.RawMessage, empty string) string {
		if len(raw) == 0 {
			return empty
		}
		return string(raw)
	}
	queue := m.Queue
	if queue == "" {
		queue = "celery"
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO lovage.outbox (id, order_key, queue, task, args, kwargs, headers, eta, expires, priority)
		VALUES (coalesce(nullif($1, '')::uuid, gen_random_uuid()), $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		m.ID, m.OrderKey, queue, m.Task, text(m.Args, "[]"), text(m.Kwargs, "{}"), text(m.Headers, "{}"), m.ETA, m.Expires, m.Priority).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("enqueue task %s: %w", m.Task, err)
	}
	return id, nil
}

// Waiting reads the oldest entries that have not been sent.
func Waiting(ctx context.Context, q Querier, most int) ([]Message, error) {
	rows, err := q.QueryContext(ctx, `SELECT seq, id, topic, order_key, queue, task, args, kwargs, headers, eta, expires, priority, coalesce(payload, 'null')
		FROM lovage.outbox WHERE sent_at IS NULL ORDER BY seq LIMIT $1`, most)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	defer rows.Close()
	var list []Message
	for rows.Next() {
		var m Message
		var args, kwargs, headers, payload []byte
		if err := rows.Scan(&m.Seq, &m.ID, &m.Topic, &m.OrderKey, &m.Queue, &m.Task, &args, &kwargs, &headers, &m.ETA, &m.Expires, &m.Priority, &payload); err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		m.Args, m.Kwargs, m.Headers, m.Payload = args, kwargs, headers, payload
		list = append(list, m)
	}
	return list, rows.Err()
}

// MarkSent notes that an entry has been sent, or why it never can be.
func MarkSent(ctx context.Context, q Querier, seq int64, problem error) error {
	var text *string
	if problem != nil {
		s := problem.Error()
		text = &s
	}
	if _, err := q.ExecContext(ctx, "UPDATE lovage.outbox SET sent_at = clock_timestamp(), error = $2 WHERE seq = $1", seq, text); err != nil {
		return fmt.Errorf("mark outbox entry %d: %w", seq, err)
	}
	return nil
}

// PruneOutbox deletes entries that were sent longer ago than keep.
func PruneOutbox(ctx context.Context, q Querier, keep time.Duration) error {
	if _, err := q.ExecContext(ctx, "DELETE FROM lovage.outbox WHERE sent_at < clock_timestamp() - make_interval(secs => $1)", keep.Seconds()); err != nil {
		return fmt.Errorf("prune the outbox: %w", err)
	}
	return nil
}
