package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lovage-go/lovage/lockutil"
)

// ErrNoRun says that there is no such prediction run, or none is active.
var ErrNoRun = errors.New("there is no such prediction run")

// ErrSuperseded says that a task's prediction run is not the one to work for any more.
var ErrSuperseded = errors.New("the prediction run is superseded")

// Run is a prediction run.
type Run struct {
	ID            string     `json:"id" db:"id"`
	Scope         string     `json:"scope" db:"scope"`
	State         string     `json:"state" db:"state"`
	CreatedAt     time.Time  `json:"created_at" db:"created_at"`
	CreatedBy     string     `json:"created_by" db:"created_by"`
	CorrelationID string     `json:"correlation_id,omitempty" db:"correlation_id"`
	ActivatedAt   *time.Time `json:"activated_at,omitempty" db:"activated_at"`
}

// Invalidation tells caches that a scope has another active run. Version counts a scope's switches: a reader that has seen a later one ignores it.
type Invalidation struct {
	Scope   string `json:"scope"`
	From    string `json:"from"`
	To      string `json:"to"`
	Version int64  `json:"version"`
}

// Switching says who switches the active run of a scope, and why.
type Switching struct {
	Scope, To, Who, Why, CorrelationID string
	// Rollback names it so in the audit.
	Rollback bool
}

// CreateRun notes a new run, in state writing. To create it again changes nothing; under the same id in another scope it is an error.
func CreateRun(ctx context.Context, q Querier, run Run) error {
	result, err := q.ExecContext(ctx, `INSERT INTO lovage.prediction_runs AS r (id, scope, created_by, correlation_id) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE r.scope = excluded.scope`, run.ID, run.Scope, run.CreatedBy, run.CorrelationID)
	if err == nil {
		if n, _ := result.RowsAffected(); n == 0 {
			err = errors.New("the id belongs to another scope")
		}
	}
	if err != nil {
		return fmt.Errorf("create prediction run %s of %s: %w", run.ID, run.Scope, err)
	}
	return nil
}

// Active tells which run of a scope readers are to see; an error that wraps ErrNoRun when none is. Read it once per request, in the transaction that reads the rows or before
// it, and use its id throughout: then a switch in between mixes nothing.
func Active(ctx context.Context, q Querier, scope string) (id string, version int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT run_id, version FROM lovage.active_runs WHERE scope = $1", scope).Scan(&id, &version)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoRun
	}
	if err != nil {
		return "", 0, fmt.Errorf("active prediction run of %s: %w", scope, err)
	}
	return id, version, nil
}

// Switch makes a run the active one of its scope: one transaction with its audit row and the invalidation in the outbox. Switching to the run that is active changes nothing.
func (s *Store) Switch(ctx context.Context, w Switching) error {
	return lockutil.InTx(ctx, s.DB.DB, lockutil.TxOptions{LockTimeout: 10 * time.Second}, func(tx *sql.Tx) error { return SwitchTx(ctx, tx, w) })
}

// SwitchTx is Switch inside a transaction of the caller's: with the last of the run's rows, say.
func SwitchTx(ctx context.Context, tx *sql.Tx, w Switching) error {
	if w.Who == "" || w.Why == "" {
		return fmt.Errorf("switch %s to run %s: %w", w.Scope, w.To, ErrUnexplained)
	}
	// Switches of one scope come one after the other, so that the outbox has them in their order.
	if err := lockutil.AdvisoryTx(ctx, tx, "lovage.active_runs."+w.Scope); err != nil {
		return err
	}
	var state string
	err := tx.QueryRowContext(ctx, "SELECT state FROM lovage.prediction_runs WHERE id = $1 AND scope = $2 FOR UPDATE", w.To, w.Scope).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("switch %s to run %s: %w", w.Scope, w.To, ErrNoRun)
	case err != nil:
		return fmt.Errorf("switch %s to run %s: %w", w.Scope, w.To, err)
	case state == "failed":
		return fmt.Errorf("switch %s to run %s: the run has failed", w.Scope, w.To)
	}
	from, _, err := Active(ctx, tx, w.Scope)
	if err != nil && !errors.Is(err, ErrNoRun) {
		return err
	}
	if from == w.To {
		return nil
	}
	return record(ctx, tx, w, from)
}

func record(ctx context.Context, tx *sql.Tx, w Switching, from string) error {
	note := Invalidation{Scope: w.Scope, From: from, To: w.To}
	err := tx.QueryRowContext(ctx, `INSERT INTO lovage.active_runs AS a (scope, run_id) VALUES ($1, $2)
		ON CONFLICT (scope) DO UPDATE SET run_id = excluded.run_id, version = a.version + 1, switched_at = clock_timestamp() RETURNING version`,
		w.Scope, w.To).Scan(&note.Version)
	if err != nil {
		return fmt.Errorf("switch %s to run %s: %w", w.Scope, w.To, err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE lovage.prediction_runs SET state = CASE WHEN id = $2 THEN 'active' ELSE 'superseded' END,
		activated_at = CASE WHEN id = $2 THEN clock_timestamp() ELSE activated_at END WHERE scope = $1 AND (id = $2 OR state = 'active')`, w.Scope, w.To); err != nil {
		return fmt.Errorf("switch %s to run %s: %w", w.Scope, w.To, err)
	}
	action := "run.activate"
	if w.Rollback {
		action = "run.rollback"
	}
	before, after := &from, &w.To
	if from == "" {
		before = nil
	}
	if err := (Audit{Who: w.Who, Why: w.Why, Action: action, Subject: w.Scope, Before: before, After: after, CorrelationID: w.CorrelationID}).Write(ctx, tx); err != nil {
		return err
	}
	payload, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO lovage.outbox (topic, order_key, payload) VALUES ('invalidate', $1, $2)", w.Scope, string(payload)); err != nil {
		return fmt.Errorf("write the invalidation of %s: %w", w.Scope, err)
	}
	return nil
}

// CheckRun tells whether work for a run is still wanted: an error that wraps ErrSuperseded when the run was active and is not any more or has failed, ErrNoRun when there is none of that id.
func CheckRun(ctx context.Context, q Querier, id string) error {
	var state string
	err := q.QueryRowContext(ctx, "SELECT state FROM lovage.prediction_runs WHERE id = $1", id).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = ErrNoRun
	case err == nil && (state == "superseded" || state == "failed"):
		err = ErrSuperseded
	}
	if err != nil {
		return fmt.Errorf("prediction run %s: %w", id, err)
	}
	return nil
}

// Runs lists the newest runs of a scope, or of all when it is "".
func (s *Store) Runs(ctx context.Context, scope string, most int) ([]Run, error) {
	var list []Run
	err := s.DB.SelectContext(ctx, &list, `SELECT id, scope, state, created_at, created_by, correlation_id, activated_at FROM lovage.prediction_runs
		WHERE $1 = '' OR scope = $1 ORDER BY created_at DESC LIMIT $2`, scope, most)
	if err != nil {
		return nil, fmt.Errorf("list prediction runs: %w", err)
	}
	return list, nil
}

// Previous is the run that was active before the present one, by the audit: what a rollback switches to.
func (s *Store) Previous(ctx context.Context, scope string) (string, error) {
	var id sql.NullString
	err := s.DB.QueryRowContext(ctx, `SELECT u.before FROM lovage.audit u JOIN lovage.active_runs a ON a.scope = u.subject AND a.run_id = u.after
		WHERE u.subject = $1 AND u.action = 'run.activate' ORDER BY u.id DESC LIMIT 1`, scope).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !id.Valid {
		err = ErrNoRun
	}
	if err != nil {
		return "", fmt.Errorf("run of %s before the active one: %w", scope, err)
	}
	return id.String, nil
}
