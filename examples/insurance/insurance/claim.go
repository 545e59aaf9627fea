package insurance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/lovage-go/lovage/once"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

type claimIn struct {
	Policy     string
	SumInsured decimal.Decimal
	EventDate  string
}

type claimOut struct {
	ID     int64           `json:"id"`
	Policy string          `json:"policy"`
	Payout decimal.Decimal `json:"payout"`
	Run    string          `json:"run"`
}

func claimCalc() once.Task[claimIn, claimOut] {
	return once.Task[claimIn, claimOut]{
		Name:  "task_claim_calc",
		Needs: []tasks.Dimension{tasks.CorrelationID, tasks.AccessMode, tasks.ProductID, tasks.RegionCode, tasks.WeatherType},
		Key:   func(d tasks.Dimensions, in claimIn) string { return d.ProductID + "/" + in.Policy + "/" + in.EventDate },
		Do:    calculate,
	}
}

// calculate pays by the risk of the run that is active when it begins, and says which that was.
func calculate(ctx context.Context, tx *once.Tx, in claimIn) (claimOut, error) {
	d := tx.Dimensions()
	out := claimOut{Policy: in.Policy}
	if _, err := time.Parse(time.DateOnly, in.EventDate); err != nil {
		return out, once.Permanent("event_date_invalid", tasks.Raise("ValueError", fmt.Sprintf("event_date %.40q is no date", in.EventDate)))
	}
	if !in.SumInsured.IsPositive() {
		return out, once.Business("not_covered", "policy %s insures nothing", in.Policy)
	}
	run, _, err := store.Active(ctx, tx.SQL(), Scope)
	if errors.Is(err, store.ErrNoRun) {
		return out, once.Retryable("no_prediction", err)
	}
	if err != nil {
		return out, err
	}
	var score decimal.Decimal
	err = tx.QueryRow(ctx, "SELECT score::numeric FROM risk_events WHERE prediction_run_id = $1 AND region_code = $2 AND weather_type = $3", run, d.RegionCode, d.WeatherType).Scan(&score)
	if errors.Is(err, sql.ErrNoRows) {
		return out, once.Business("region_unknown", "there is no risk for %s", d.RegionCode)
	}
	if err != nil {
		return out, err
	}
	out.Run, out.Payout = run, in.SumInsured.Mul(score).RoundBank(2)
	err = tx.QueryRow(ctx, `INSERT INTO claims (policy, product_id, event_date, region_code, prediction_run_id, payout) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		in.Policy, d.ProductID, in.EventDate, d.RegionCode, run, out.Payout).Scan(&out.ID)
	if err != nil {
		return out, err
	}
	tx.Wrote(1)
	return out, nil
}
