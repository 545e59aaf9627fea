package ledger

import (
	"strings"
	"time"

	"github.com/lovage-go/lovage/tasks"
)

// The states of an attempt.
const (
	Queued    = "queued"
	Running   = "running"
	Succeeded = "succeeded"
	Failed    = "failed"
	Retried   = "retried"
	// Refused: its message was not fit to run.
	Refused = "refused"
	// Lost: its worker ended in the middle of it. Written by the delivery that comes after it.
	Lost = "lost"
)

// Row is one attempt; the names are those of the columns of lovage.attempts.
type Row struct {
	Day             string     `json:"day" db:"day"`
	TaskID          string     `json:"task_id" db:"task_id"`
	Retries         int        `json:"retries" db:"retries"`
	Delivery        int        `json:"delivery" db:"delivery"`
	Task            string     `json:"task" db:"task"`
	State           string     `json:"state" db:"state"`
	Reused          bool       `json:"reused" db:"reused"`
	CorrelationID   string     `json:"correlation_id" db:"correlation_id"`
	TraceID         string     `json:"trace_id" db:"trace_id"`
	RootID          string     `json:"root_id" db:"root_id"`
	ParentID        string     `json:"parent_id" db:"parent_id"`
	Worker          string     `json:"worker" db:"worker"`
	Queue           string     `json:"queue" db:"queue"`
	QueuedAt        *time.Time `json:"queued_at" db:"queued_at"`
	StartedAt       *time.Time `json:"started_at" db:"started_at"`
	FinishedAt      *time.Time `json:"finished_at" db:"finished_at"`
	QueueMS         *float64   `json:"queue_ms" db:"queue_ms"`
	RunMS           *float64   `json:"run_ms" db:"run_ms"`
	AccessMode      string     `json:"access_mode" db:"access_mode"`
	RegionScope     string     `json:"region_scope" db:"region_scope"`
	RegionCode      string     `json:"region_code" db:"region_code"`
	TimeFrom        *time.Time `json:"time_from" db:"time_from"`
	TimeTo          *time.Time `json:"time_to" db:"time_to"`
	DataType        string     `json:"data_type" db:"data_type"`
	WeatherType     string     `json:"weather_type" db:"weather_type"`
	ProductID       string     `json:"product_id" db:"product_id"`
	PredictionRunID string     `json:"prediction_run_id" db:"prediction_run_id"`
	EffectKey       string     `json:"effect_key" db:"effect_key"`
	LockKey         string     `json:"lock_key" db:"lock_key"`
	LockResult      string     `json:"lock_result" db:"lock_result"`
	LockRelease     string     `json:"lock_release" db:"lock_release"`
	LockNumber      int64      `json:"lock_number" db:"lock_number"`
	LockWaitedMS    *float64   `json:"lock_waited_ms" db:"lock_waited_ms"`
	LockHeldMS      *float64   `json:"lock_held_ms" db:"lock_held_ms"`
	RowsWritten     int64      `json:"rows_written" db:"rows_written"`
	CacheKeys       []string   `json:"cache_keys" db:"-"`
	ErrorClass      string     `json:"error_class" db:"error_class"`
	ErrorCode       string     `json:"error_code" db:"error_code"`
	ErrorMessage    string     `json:"error_message" db:"error_message"`
	Stack           string     `json:"stack" db:"stack"`
	Args            string     `json:"args" db:"args"`
	Kwargs          string     `json:"kwargs" db:"kwargs"`
	Headers         string     `json:"headers" db:"headers"`
}

// attempt tells the rows of one attempt from those of others.
type attempt struct {
	taskID            string
	retries, delivery int
}

func (r *Row) attempt() attempt { return attempt{r.TaskID, r.Retries, r.Delivery} }

// Describe fills in the dimensions.
func (r *Row) Describe(d tasks.Dimensions) {
	if d.CorrelationID != "" {
		r.CorrelationID = d.CorrelationID
	}
	r.TraceID, r.AccessMode, r.RegionScope, r.RegionCode = d.TraceID, d.AccessMode, d.RegionScope, d.RegionCode
	r.DataType, r.WeatherType, r.ProductID, r.PredictionRunID = d.DataType, d.WeatherType, d.ProductID, d.PredictionRunID
	if !d.TimeRange.From.IsZero() {
		r.TimeFrom, r.TimeTo = &d.TimeRange.From, &d.TimeRange.To
	}
}

// most is how much of a text is kept; PostgreSQL's text holds no NUL.
func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "..."
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	return text
}

// The bounds of a row's long texts, in bytes. Input beyond it is cut: such an attempt cannot be replayed from the ledger, and replay says so.
const (
	maxInput = 1 << 20
	maxText  = 8 << 10
)

// finish makes the row fit for the table.
func (r *Row) finish() {
	at := time.Now()
	for _, t := range []*time.Time{r.StartedAt, r.QueuedAt} {
		if t != nil {
			at = *t
			break
		}
	}
	r.Day = at.UTC().Format(time.DateOnly)
	if r.CacheKeys == nil {
		r.CacheKeys = []string{}
	}
	r.Args, r.Kwargs, r.Headers = clip(r.Args, maxInput), clip(r.Kwargs, maxInput), clip(r.Headers, maxInput)
	for _, text := range []*string{&r.TaskID, &r.Task, &r.CorrelationID, &r.RootID, &r.ParentID, &r.Worker, &r.Queue, &r.EffectKey, &r.LockKey, &r.ErrorMessage, &r.Stack, &r.ErrorCode} {
		*text = clip(*text, maxText)
	}
	if len(r.TaskID) > 500 { // an index entry has a limit
		r.TaskID = r.TaskID[:500]
	}
	if len(r.CorrelationID) > 500 {
		r.CorrelationID = r.CorrelationID[:500]
	}
	if len(r.RootID) > 500 {
		r.RootID = r.RootID[:500]
	}
}
