// Package insurance holds the four tasks of the insurance example, written on the task template.
//
//	task_weather_sync            files ──▶ weather                      upsert, in batches
//	task_risk_recalc_predicted   weather ──▶ risk_events, a new prediction run per refresh, cut into shards by region; the last shard publishes the run
//	task_claim_calc              risk_events ──▶ claims                 one per policy, product and day; money is decimal
//	task_aggregate_refresh       risk_events ──▶ aggregates, caches     L0 (all), L1 (regions), overlays; per access mode
package insurance

import (
	"context"
	_ "embed"
	"errors"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/once"
	"github.com/lovage-go/lovage/worker"
)

// Queue is where the tasks are sent; Scope is what the prediction runs are of.
const (
	Queue = "heavy"
	Scope = "risk"
)

// Modes are the access modes; each has caches of its own.
func Modes() []string { return []string{"public", "broker", "internal"} }

// Register adds the tasks to a worker.
func Register(w *worker.Worker, kit *once.Kit, c *cache.Cache) error {
	return errors.Join(
		once.Handle(w, kit, weatherSync()),
		once.Handle(w, kit, riskRecalc()),
		once.Handle(w, kit, riskShard()),
		once.Handle(w, kit, claimCalc()),
		once.Handle(w, kit, aggregateRefresh(c)),
	)
}

// splitmix is SplitMix64, the same as the quickstart's: random enough, and the same everywhere.
func splitmix(state *uint64) uint64 {
	*state += 0x9E3779B97F4A7C15
	z := *state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func seedOf(text string) uint64 {
	seed := uint64(7)
	for _, c := range []byte(text) {
		seed = seed*31 + uint64(c)
	}
	return seed
}

// alive lets long computations end with their context.
func alive(ctx context.Context) error { return context.Cause(ctx) }
