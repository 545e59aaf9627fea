package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrUnexplained refuses a change that nobody stands for: who and why are needed.
var ErrUnexplained = errors.New("say who does it and why")

// Audit is a row of the audit: who did what to what, and why.
type Audit struct {
	At            time.Time `json:"at" db:"at"`
	Who           string    `json:"who" db:"who"`
	Why           string    `json:"why" db:"why"`
	Action        string    `json:"action" db:"action"`
	Subject       string    `json:"subject" db:"subject"`
	Before        *string   `json:"before" db:"before"`
	After         *string   `json:"after" db:"after"`
	CorrelationID string    `json:"correlation_id,omitempty" db:"correlation_id"`
}

// Write adds the row, in the transaction of the change when q is one. At is set by the database.
func (a Audit) Write(ctx context.Context, q Querier) error {
	if a.Who == "" || a.Why == "" {
		return fmt.Errorf("%s %s: %w", a.Action, a.Subject, ErrUnexplained)
	}
	_, err := q.ExecContext(ctx, `INSERT INTO lovage.audit (who, why, action, subject, before, after, correlation_id) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.Who, a.Why, a.Action, a.Subject, a.Before, a.After, a.CorrelationID)
	if err != nil {
		return fmt.Errorf("audit %s of %s: %w", a.Action, a.Subject, err)
	}
	return nil
}

// Audits lists the rows about a subject, oldest first; of every subject when it is "".
func (s *Store) Audits(ctx context.Context, subject string) ([]Audit, error) {
	var list []Audit
	err := s.DB.SelectContext(ctx, &list, `SELECT at, who, why, action, subject, before, after, correlation_id FROM lovage.audit
		WHERE $1 = '' OR subject = $1 ORDER BY id`, subject)
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return list, nil
}

// ScheduleAudit is a row about a schedule's entry.
type ScheduleAudit struct {
	Who, Why, Action, Entry string
	Before, After           *string
}

// Write adds the row, in the transaction of the change when q is one.
func (a ScheduleAudit) Write(ctx context.Context, q Querier) error {
	if a.Who == "" || a.Why == "" {
		return fmt.Errorf("%s %s: %w", a.Action, a.Entry, ErrUnexplained)
	}
	_, err := q.ExecContext(ctx, `INSERT INTO lovage.schedule_audit (who, why, action, entry, before, after) VALUES ($1, $2, $3, $4, $5, $6)`,
		a.Who, a.Why, a.Action, a.Entry, a.Before, a.After)
	if err != nil {
		return fmt.Errorf("audit %s of schedule entry %s: %w", a.Action, a.Entry, err)
	}
	return nil
}
