package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// RunDiff counts rows of two runs, by their content without the run's id and without generated ids.
type RunDiff struct{ OnlyFirst, OnlySecond, Changed, Same int }

// DiffRuns compares what two runs wrote into a table that has a column prediction_run_id. Rows are matched by the table's unique constraint that contains that column, without it.
func (s *Store) DiffRuns(ctx context.Context, table, first, second string) (RunDiff, error) {
	var d RunDiff
	var keys []string
	err := s.DB.SelectContext(ctx, &keys, `SELECT a.attname FROM pg_constraint c
		JOIN pg_attribute r ON r.attrelid = c.conrelid AND r.attname = 'prediction_run_id' AND r.attnum = ANY (c.conkey)
		JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname <> 'prediction_run_id'
		WHERE c.conrelid = to_regclass($1) AND c.contype IN ('p', 'u') ORDER BY a.attnum`, table)
	if err != nil || len(keys) == 0 {
		return d, fmt.Errorf("compare runs in %s: it needs a unique constraint that contains prediction_run_id and more (%w)", table, err)
	}
	key := "jsonb_build_array("
	for i, name := range keys {
		if i > 0 {
			key += ", "
		}
		key += "t." + pq.QuoteIdentifier(name)
	}
	key += ")"
	side := "SELECT " + key + " AS k, to_jsonb(t) - 'prediction_run_id' - 'id' - 'created_at' AS v FROM " + quoteTable(table) + " t WHERE prediction_run_id = "
	query := `SELECT count(*) FILTER (WHERE b.k IS NULL) AS onlyfirst, count(*) FILTER (WHERE a.k IS NULL) AS onlysecond,
		count(*) FILTER (WHERE a.v <> b.v) AS changed, count(*) FILTER (WHERE a.v = b.v) AS same
		FROM (` + side + "$1) a FULL JOIN (" + side + "$2) b ON a.k = b.k"
	if err := sqlx.GetContext(ctx, s.DB, &d, query, first, second); err != nil {
		return d, fmt.Errorf("compare runs %s and %s in %s: %w", first, second, table, err)
	}
	return d, nil
}

// quoteTable quotes schema.table.
func quoteTable(name string) string {
	quoted := ""
	for i, part := range strings.Split(name, ".") {
		if i > 0 {
			quoted += "."
		}
		quoted += pq.QuoteIdentifier(part)
	}
	return quoted
}
