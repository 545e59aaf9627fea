package once

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

type attemptKey struct{}

// attempt is one run of one message, and its row in the ledger.
type attempt struct {
	kit        *Kit
	request    *tasks.Request
	headers    protocol.Object
	dimensions tasks.Dimensions
	row        *ledger.Row
	started    time.Time
	conflicts  int
}

// SentAt is the header in which our clients say when a message was queued: seconds since 1970, a float as Python's time.time().
const SentAt = "lovage_sent_at"

func newAttempt(ctx context.Context, kit *Kit, task string, args []protocol.Raw, kwargs protocol.Object) *attempt {
	a := &attempt{kit: kit, started: time.Now(), row: &ledger.Row{Task: task}}
	a.row.StartedAt = &a.started
	request, ok := tasks.FromContext(ctx)
	if !ok {
		request = &tasks.Request{Name: task}
	}
	a.request, a.headers = request, request.Headers()
	row := a.row
	row.TaskID, row.RootID, row.ParentID, row.Retries = request.ID, request.RootID, request.ParentID, request.Retries
	// A message that came out of the outbox names the task that had put it there.
	if root := a.headers.Text("lovage_root_id"); root != "" {
		row.RootID, row.ParentID = root, a.headers.Text("lovage_parent_id")
	}
	row.CorrelationID, row.Worker, row.Queue = row.RootID, request.Hostname, request.DeliveryInfo.Queue
	if raw, ok := a.headers.Get("lovage_deliveries"); ok {
		row.Delivery, _ = strconv.Atoi(string(raw))
	}
	if raw, ok := a.headers.Get(SentAt); ok && row.Retries == 0 {
		if seconds, err := strconv.ParseFloat(string(raw), 64); err == nil {
			sent := time.UnixMicro(int64(seconds * 1e6))
			row.QueuedAt = &sent
			row.QueueMS = ms(a.started.Sub(sent))
		}
	}
	if kit.config.Ledger != nil {
		row.Args, row.Kwargs, row.Headers = string(protocol.Array(args)), string(kwargs.Raw()), string(a.headers.Raw())
	}
	return a
}

func ms(d time.Duration) *float64 {
	f := float64(d.Microseconds()) / 1000
	return &f
}

// begin notes that the attempt runs, and which deliveries before it were lost with their workers.
func (a *attempt) begin() {
	if a.kit.config.Ledger == nil {
		return
	}
	for n := range a.row.Delivery {
		lost := *a.row
		lost.State, lost.Delivery, lost.StartedAt, lost.ErrorCode = ledger.Lost, n, nil, "worker_lost"
		lost.QueuedAt = &a.started
		a.kit.config.Ledger.Add(&lost)
	}
	a.kit.config.Ledger.Begin(a.row)
}

// lock takes the effect's locks.
func (a *attempt) lock(ctx context.Context, e *effect, wait time.Duration) error {
	a.row.LockKey = e.lockKeys[0]
	begun := time.Now()
	held, err := a.kit.config.Locks.Lock(ctx, lockutil.Request{Keys: e.lockKeys, Wait: wait, Note: a.row.Task + " " + a.row.TaskID})
	a.row.LockWaitedMS = ms(time.Since(begun))
	switch {
	case errors.Is(err, lockutil.ErrHeld):
		a.row.LockResult = "held by others"
	case err != nil:
		a.row.LockResult = "error"
	default:
		a.row.LockResult, a.row.LockNumber, e.held = "acquired", held.Number(e.lockKeys[0]), held
	}
	return err
}

func (a *attempt) unlock(ctx context.Context, held *lockutil.Held) {
	a.row.LockHeldMS = ms(time.Since(held.Since()))
	a.row.LockRelease = "released"
	if err := held.Release(ctx); err != nil {
		a.row.LockRelease = "error"
		if errors.Is(err, lockutil.ErrLost) {
			a.row.LockRelease = "lost"
		}
		a.kit.log.Warn("lock was not there to be released", append(a.fields(), zap.Error(err))...)
	}
}

func (a *attempt) succeed() {
	a.row.State = ledger.Succeeded
	a.end(zap.InfoLevel, "task succeeded", nil)
}

// refuse ends an attempt whose message is not fit to run.
func (a *attempt) refuse(err error) error {
	a.row.State = ledger.Refused
	a.describe(err)
	a.end(zap.WarnLevel, "task refused", err)
	return err
}

// fail ends a failed attempt: tried again, or not, by the error's class.
func (a *attempt) fail(ctx context.Context, err error, retries int, backoff time.Duration) error {
	class, _ := a.describe(err)
	n := a.row.Retries
	again := class == ClassRetryable && n < retries
	a.row.State = ledger.Failed
	if again || ctx.Err() != nil {
		a.row.State = ledger.Retried
	}
	a.end(zap.WarnLevel, "task failed", err)
	var asked *tasks.Retrying
	if !again || errors.As(err, &asked) {
		return err
	}
	return &tasks.Retrying{Err: err, Countdown: pauseBefore(n, backoff), MaxRetries: &retries}
}

// pauseBefore doubles with each attempt, up to a minute.
func pauseBefore(retries int, backoff time.Duration) *time.Duration {
	d := min(time.Minute, backoff<<min(retries, 10))
	return &d
}

func (a *attempt) describe(err error) (Class, string) {
	class, code := Classify(err)
	a.row.ErrorClass, a.row.ErrorCode, a.row.ErrorMessage = string(class), code, err.Error()
	var failure *Failure
	var panicked *tasks.Panic
	if errors.As(err, &failure) {
		a.row.Stack = failure.Stack
	} else if errors.As(err, &panicked) {
		a.row.Stack = string(panicked.Stack[:min(len(panicked.Stack), 4000)])
	}
	return class, code
}

// end logs the attempt and hands its row to the ledger, which owns it from then on.
func (a *attempt) end(level zapcore.Level, message string, err error) {
	now := time.Now()
	a.row.FinishedAt, a.row.RunMS = &now, ms(now.Sub(a.started))
	if entry := a.kit.log.Check(level, message); entry != nil {
		entry.Write(append(a.fields(), zap.String("state", a.row.State), zap.Bool("reused", a.row.Reused), zap.Int64("rows", a.row.RowsWritten),
			zap.Float64p("run_ms", a.row.RunMS), zap.String("class", a.row.ErrorClass), zap.String("code", a.row.ErrorCode), zap.Error(err))...)
	}
	if a.kit.config.Ledger != nil {
		a.kit.config.Ledger.End(a.row)
	}
}

// fields are on every line about the attempt: the dimensions, too.
func (a *attempt) fields() []zap.Field {
	fields := []zap.Field{zap.String("task_name", a.row.Task), zap.String("task_id", a.row.TaskID), zap.String("correlation_id", a.row.CorrelationID), zap.Int("retries", a.row.Retries)}
	for name, value := range a.dimensions.Map() {
		if name != "correlation_id" {
			fields = append(fields, zap.String(name, value))
		}
	}
	return fields
}
