package insurance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/once"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/storm"
	"github.com/lovage-go/lovage/tasks"
)

type riskIn struct {
	Regions []string
	Shards  int `default:"4"`
	// Draws is how many Monte-Carlo runs each hour of weather gets.
	Draws int `default:"200"`
}

type riskOut struct {
	Run    string `json:"run"`
	Shards int    `json:"shards"`
}

func predicted(more ...tasks.Dimension) []tasks.Dimension {
	return append([]tasks.Dimension{tasks.CorrelationID, tasks.AccessMode, tasks.DataType, tasks.WeatherType, tasks.PredictionRunID}, more...)
}

// riskRecalc begins a refresh: a new prediction run, and a task for each shard, all in one transaction.
func riskRecalc() once.Task[riskIn, riskOut] {
	return once.Task[riskIn, riskOut]{
		Name: "task_risk_recalc_predicted", Needs: predicted(), OwnRun: true, // the run is this message's own, and not there yet
		Key: func(d tasks.Dimensions, _ riskIn) string { return "refresh" },
		Do: func(ctx context.Context, tx *once.Tx, in riskIn) (riskOut, error) {
			d := tx.Dimensions()
			parts := storm.Shards(in.Regions, in.Shards)
			if len(parts) == 0 {
				return riskOut{}, once.Business("no_regions", "a refresh needs regions")
			}
			run := store.Run{ID: d.PredictionRunID, Scope: Scope, CreatedBy: "task_risk_recalc_predicted", CorrelationID: d.CorrelationID}
			if err := store.CreateRun(ctx, tx.SQL(), run); err != nil {
				return riskOut{}, err
			}
			tx.Wrote(1)
			for i, regions := range parts {
				kwargs, err := json.Marshal(shardIn{Shard: i, Shards: len(parts), Regions: regions, Draws: in.Draws})
				if err != nil {
					return riskOut{}, err
				}
				if _, err := tx.Send(ctx, store.Message{Queue: Queue, Task: "task_risk_shard", Kwargs: kwargs, OrderKey: run.ID}); err != nil {
					return riskOut{}, err
				}
			}
			return riskOut{Run: run.ID, Shards: len(parts)}, nil
		},
	}
}

type shardIn struct {
	Shard   int      `json:"shard"`
	Shards  int      `json:"shards"`
	Regions []string `json:"regions"`
	Draws   int      `json:"draws"`
}

type shardOut struct {
	Regions   int  `json:"regions"`
	Published bool `json:"published"`
}

func riskShard() once.Task[shardIn, shardOut] {
	return once.Task[shardIn, shardOut]{
		Name: "task_risk_shard", Needs: predicted(),
		Key: func(_ tasks.Dimensions, in shardIn) string { return fmt.Sprintf("shard-%d-of-%d", in.Shard, in.Shards) },
		Do: func(ctx context.Context, tx *once.Tx, in shardIn) (shardOut, error) {
			for _, region := range in.Regions {
				if err := scoreRegion(ctx, tx, region, in.Draws); err != nil {
					return shardOut{}, err
				}
			}
			published, err := publishIfLast(ctx, tx, in)
			return shardOut{Regions: len(in.Regions), Published: published}, err
		},
	}
}

// scoreRegion is the heavy part: Monte-Carlo over every hour of weather.
func scoreRegion(ctx context.Context, tx *once.Tx, region string, draws int) error {
	d := tx.Dimensions()
	rows, err := tx.Query(ctx, "SELECT wind, hail FROM weather WHERE region_code = $1 AND weather_type = $2 ORDER BY at", region, d.WeatherType)
	if err != nil {
		return err
	}
	defer rows.Close()
	state := seedOf(region)
	var storms, all int64
	for rows.Next() {
		var wind, hail float64
		if err := rows.Scan(&wind, &hail); err != nil {
			return err
		}
		if err := alive(ctx); err != nil {
			return err
		}
		for range draws {
			all++
			if wind+float64(splitmix(&state)>>54)/10 > 140 && hail+float64(splitmix(&state)>>54)/100 > 12 {
				storms++
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	score := 0.0
	if all > 0 {
		score = float64(storms) / float64(all)
	}
	_, err = tx.Exec(ctx, "INSERT INTO risk_events (prediction_run_id, region_code, weather_type, score, storms) VALUES ($1, $2, $3, $4, $5)",
		d.PredictionRunID, region, d.WeatherType, score, storms)
	return err
}

// publishIfLast makes the run active in the transaction of the shard that completes it, and has the aggregates refreshed for every mode.
func publishIfLast(ctx context.Context, tx *once.Tx, in shardIn) (bool, error) {
	d := tx.Dimensions()
	// One shard after the other from here to the commit, so that each sees those before it.
	if err := lockutil.AdvisoryTx(ctx, tx.SQL(), "risk_shards."+d.PredictionRunID); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO risk_shards (prediction_run_id, shard) VALUES ($1, $2)", d.PredictionRunID, in.Shard); err != nil {
		return false, err
	}
	var done int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM risk_shards WHERE prediction_run_id = $1", d.PredictionRunID).Scan(&done); err != nil || done < in.Shards {
		return false, err
	}
	err := store.SwitchTx(ctx, tx.SQL(), store.Switching{Scope: Scope, To: d.PredictionRunID, Who: "task_risk_shard", Why: "the refresh is complete", CorrelationID: d.CorrelationID})
	if err != nil {
		return false, err
	}
	for _, mode := range Modes() {
		headers, err := json.Marshal(map[string]string{"access_mode": mode})
		if err != nil {
			return false, err
		}
		if _, err := tx.Send(ctx, store.Message{Queue: Queue, Task: "task_aggregate_refresh", Headers: headers, OrderKey: d.PredictionRunID}); err != nil {
			return false, err
		}
	}
	return true, nil
}
