package insurance

import (
	"context"
	"time"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/once"
	"github.com/lovage-go/lovage/tasks"
)

type aggregateOut struct {
	Mode   string             `json:"mode"`
	Run    string             `json:"run"`
	Levels map[string]float64 `json:"levels"`
}

// aggregateRefresh writes the aggregates of one run for one mode, and fills that mode's caches when they stand. What a mode may see: public the whole, broker the regions as
// well, internal the overlay of the storms, too.
func aggregateRefresh(c *cache.Cache) once.Task[struct{}, aggregateOut] {
	return once.Task[struct{}, aggregateOut]{
		Name: "task_aggregate_refresh", Needs: predicted(),
		Key: func(tasks.Dimensions, struct{}) string { return "aggregates" },
		Do: func(ctx context.Context, tx *once.Tx, _ struct{}) (aggregateOut, error) {
			d := tx.Dimensions()
			out := aggregateOut{Mode: d.AccessMode, Run: d.PredictionRunID, Levels: map[string]float64{}}
			for _, level := range levels(d.AccessMode) {
				_, err := tx.Exec(ctx, `INSERT INTO aggregates (prediction_run_id, access_mode, level, name, value) `+level.query, d.PredictionRunID, d.AccessMode)
				if err != nil {
					return out, err
				}
				if err := fill(ctx, tx, c, level.name, out.Levels); err != nil {
					return out, err
				}
			}
			return out, nil
		},
	}
}

type level struct{ name, query string }

func levels(mode string) []level {
	all := []level{
		{"l0", "SELECT $1::text, $2::text, 'l0', 'all', coalesce(avg(score), 0) FROM risk_events WHERE prediction_run_id = $1"},
		{"l1", "SELECT $1::text, $2::text, 'l1', region_code, score FROM risk_events WHERE prediction_run_id = $1"},
		{"overlay", "SELECT $1::text, $2::text, 'overlay', region_code, storms FROM risk_events WHERE prediction_run_id = $1"},
	}
	return all[:map[string]int{"public": 1, "broker": 2, "internal": 3}[mode]]
}

// fill reads a level back and puts it into the cache once the transaction has committed.
func fill(ctx context.Context, tx *once.Tx, c *cache.Cache, level string, totals map[string]float64) error {
	d := tx.Dimensions()
	key, err := cache.NewKey("risk."+level, tasks.Dimensions{AccessMode: d.AccessMode, DataType: d.DataType, PredictionRunID: d.PredictionRunID})
	if err != nil {
		return once.Permanent("cache_key", err)
	}
	rows, err := tx.Query(ctx, "SELECT name, value FROM aggregates WHERE prediction_run_id = $1 AND access_mode = $2 AND level = $3 ORDER BY name", d.PredictionRunID, d.AccessMode, level)
	if err != nil {
		return err
	}
	defer rows.Close()
	values := map[string]float64{}
	for rows.Next() {
		var name string
		var value float64
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		values[name] = value
		totals[level] += value
	}
	tx.Refreshed(key.String())
	content := map[string]any{"run": d.PredictionRunID, "mode": d.AccessMode, "values": values}
	tx.AfterCommit(func() { _ = c.Set(ctx, key, time.Hour, content) }) // a cache that is away is a miss
	return rows.Err()
}
