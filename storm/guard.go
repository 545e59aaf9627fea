package storm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// Limits bound a task in the whole fleet. The zero value bounds nothing: only orders are obeyed.
type Limits struct {
	// AtOnce is how many messages of the task run at once; it needs Locks.
	AtOnce int
	Locks  *lockutil.Locker
	// PerMinute is how many begin a minute; an order's bound beats it.
	PerMinute int
	// BreakAt opens the circuit breaker when so many percent of the runs fail, of at least BreakAfter runs (default 10): for BreakFor (default 30 s) none begins, then one tries.
	BreakAt, BreakAfter int
	BreakFor            time.Duration
	// PutOff is how long a message waits that may not run now. Default 5 s.
	PutOff time.Duration
}

// ErrDeferred is the cause of a message that was put off.
var ErrDeferred = errors.New("put off")

// Guard makes a handler that obeys orders and limits.
func (c *Control) Guard(task string, run tasks.Func, limits Limits) tasks.Func {
	if limits.PutOff <= 0 {
		limits.PutOff = 5 * time.Second
	}
	if limits.BreakAfter <= 0 {
		limits.BreakAfter = 10
	}
	if limits.BreakFor <= 0 {
		limits.BreakFor = 30 * time.Second
	}
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		wait, why, err := c.admit(ctx, task, limits)
		if err != nil {
			return nil, err
		}
		if wait > 0 {
			return nil, putOff(wait, why)
		}
		if limits.AtOnce > 0 && limits.Locks != nil {
			held, err := limits.Locks.Lock(ctx, lockutil.Request{Keys: []string{"limit:" + task}, Holders: limits.AtOnce, Note: task})
			if errors.Is(err, lockutil.ErrHeld) {
				return nil, putOff(time.Second, "too many at once")
			}
			if err != nil {
				return nil, err
			}
			defer func() { _ = held.Release(ctx) }()
		}
		result, err := run(ctx, args, kwargs)
		c.ended(ctx, task, limits, err)
		return result, err
	}
}

// putOff sends the message round again: a retry without an end to their number.
func putOff(wait time.Duration, why string) error {
	wait += rand.N(wait/4 + time.Millisecond) // not all at once
	forever := -1
	return &tasks.Retrying{Err: fmt.Errorf("%w: %s", ErrDeferred, why), Countdown: &wait, MaxRetries: &forever}
}

func (c *Control) admit(ctx context.Context, task string, limits Limits) (time.Duration, string, error) {
	order := c.order(ctx, task)
	if order.Paused {
		return limits.PutOff, "paused by " + order.Who + ": " + order.Why, nil
	}
	rate := limits.PerMinute
	if order.PerMinute > 0 {
		rate = order.PerMinute
	}
	if rate == 0 && limits.BreakAt == 0 {
		return 0, "", nil
	}
	ms, err := c.ask(ctx, task, limits, rate, "")
	return time.Duration(ms) * time.Millisecond, "over its rate, or its breaker is open", err
}

func (c *Control) ask(ctx context.Context, task string, limits Limits, rate int, what string) (int64, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return 0, fmt.Errorf("limits of %s: %w", task, err)
	}
	defer conn.Close()
	ms, err := redis.Int64(c.gate.DoContext(ctx, conn, "lovage:tasks:next:"+task, "lovage:tasks:breaker:"+task, rate, what, limits.BreakAt, limits.BreakAfter, limits.BreakFor.Milliseconds()))
	if err != nil {
		return 0, fmt.Errorf("limits of %s: %w", task, err)
	}
	return ms, nil
}

// ended tells the breaker how a run went. What a handler asks for itself (ignore, reject) is no failure; a wish to be tried again is one.
func (c *Control) ended(ctx context.Context, task string, limits Limits, err error) {
	if limits.BreakAt == 0 {
		return
	}
	what := "good"
	var rejected *tasks.Rejected
	if err != nil && !errors.Is(err, tasks.ErrIgnore) && !errors.As(err, &rejected) {
		what = "bad"
	}
	_, _ = c.ask(context.WithoutCancel(ctx), task, limits, 0, what) // a breaker that cannot be told is a breaker that stays as it is
}

// Shards cuts a list into at most n parts of about equal length, in the order of their names: the same list gives the same parts, whatever order it comes in.
func Shards(names []string, n int) [][]string {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	n = max(1, min(n, len(sorted)))
	parts := make([][]string, 0, n)
	for i := range n {
		part := sorted[i*len(sorted)/n : (i+1)*len(sorted)/n]
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}
