package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	store "github.com/lovage-go/lovage/sql"
)

// Filter chooses attempts; what is empty chooses all.
type Filter struct {
	CorrelationID, Task, TaskID, RootID, State, Region, ErrorCode, RunID string
	Since, Until                                                         time.Time
	// Most bounds the rows. Default 100.
	Most int
}

// Find lists attempts, oldest first; with more than Most, the newest of them.
func Find(ctx context.Context, s *store.Store, f Filter) ([]Row, error) {
	var where []string
	var args []any
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	for _, c := range []struct{ condition, value string }{
		{"correlation_id = $%d", f.CorrelationID}, {"task = $%d", f.Task}, {"task_id = $%d", f.TaskID}, {"root_id = $%d", f.RootID}, {"state = $%d", f.State},
		{"region_code = $%d", f.Region}, {"error_code = $%d", f.ErrorCode}, {"prediction_run_id = $%d", f.RunID},
	} {
		if c.value != "" {
			add(c.condition, c.value)
		}
	}
	if !f.Since.IsZero() {
		add("coalesce(started_at, queued_at) >= $%d", f.Since)
		add("day >= $%d", f.Since.UTC().Format(time.DateOnly)) // so that older partitions are not looked at
	}
	if !f.Until.IsZero() {
		add("coalesce(started_at, queued_at) < $%d", f.Until)
		add("day <= $%d", f.Until.UTC().Format(time.DateOnly))
	}
	if f.Most <= 0 {
		f.Most = 100
	}
	query := "SELECT *, array_to_string(cache_keys, chr(10)) AS cache_key_lines FROM lovage.attempts"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	var found []struct {
		Row
		Keys  string `db:"cache_key_lines"`
		Array any    `db:"cache_keys"`
	}
	query = fmt.Sprintf("SELECT * FROM (%s ORDER BY coalesce(started_at, queued_at) DESC, retries DESC, delivery DESC LIMIT %d) t ORDER BY coalesce(started_at, queued_at), retries, delivery", query, f.Most)
	if err := s.DB.SelectContext(ctx, &found, query, args...); err != nil {
		return nil, fmt.Errorf("search the ledger: %w", err)
	}
	rows := make([]Row, len(found))
	for i := range found {
		rows[i] = found[i].Row
		if found[i].Keys != "" {
			rows[i].CacheKeys = strings.Split(found[i].Keys, "\n")
		}
		rows[i].Day = rows[i].Day[:min(10, len(rows[i].Day))]
	}
	return rows, nil
}

// Tree lists all attempts of the tasks that began with the same root as the given task.
func Tree(ctx context.Context, s *store.Store, taskID string) ([]Row, error) {
	own, err := Find(ctx, s, Filter{TaskID: taskID, Most: 1})
	if err != nil {
		return nil, err
	}
	root := taskID
	if len(own) > 0 && own[0].RootID != "" {
		root = own[0].RootID
	}
	return Find(ctx, s, Filter{RootID: root, Most: 10000})
}
