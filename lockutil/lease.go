package lockutil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
)

// Request says what to lock and how.
type Request struct {
	// Keys to be locked, all or none, in the order of their names whatever order they are given in: two requests for the same keys cannot wait for each other.
	Keys []string
	// Shared takes the reading side of a read/write lock: many readers, or one that is not Shared.
	Shared bool
	// Holders, when above 1, makes the key a semaphore for so many; all its users must say the same number.
	Holders int
	// TTL is the lease's length; default the Locker's.
	TTL time.Duration
	// Wait is how long to wait for others, in the order of arrival. 0: not at all.
	Wait time.Duration
	// Note is shown to people who list locks: a task's id, say.
	Note string
}

func (r Request) mode() string {
	switch {
	case r.Holders > 1:
		return "s"
	case r.Shared:
		return "r"
	}
	return "w"
}

// waiting is how long a waiter that says nothing keeps its place in the line.
const waiting = 3 * time.Second

// lease is one key that is held.
type lease struct {
	name, token string
	number      int64
	since       time.Time
	waited      time.Duration
}

// Lock takes all keys of the request or none. The error wraps ErrHeld when others held one of them until the wait was over, ErrUnavailable when Redis could not be
// asked, and ctx's cause when that ended.
//
// The lease is renewed until Release. Held.Context is derived from ctx and ends when the lease is lost.
func (l *Locker) Lock(ctx context.Context, request Request) (*Held, error) {
	keys := slices.Compact(slices.Sorted(slices.Values(request.Keys)))
	if len(keys) == 0 || slices.Contains(keys, "") {
		return nil, fmt.Errorf("lock %q: a lock needs a key", request.Keys)
	}
	if request.TTL <= 0 {
		request.TTL = l.config.TTL
	}
	h := &Held{locker: l, request: request}
	deadline := time.Now().Add(request.Wait)
	for _, key := range keys {
		begun := time.Now()
		got, err := l.acquire(ctx, key, request, deadline)
		if err != nil {
			result := "error"
			if errors.Is(err, ErrHeld) {
				result = "held by others"
			}
			l.observe(Event{Key: key, Op: "acquire", Result: result, Note: request.Note, Waited: time.Since(begun), Err: err})
			return nil, errors.Join(fmt.Errorf("lock %s: %w", key, err), h.giveBack(ctx))
		}
		h.mu.Lock()
		h.leases = append(h.leases, got)
		h.mu.Unlock()
		l.observe(Event{Key: key, Op: "acquire", Result: "acquired", Number: got.number, Note: request.Note, Waited: got.waited})
		if len(h.leases) == 1 {
			h.begin(ctx) // renewed while the other keys are waited for
		}
	}
	if err := h.Err(); err != nil { // the first key was lost while the last one was waited for
		return nil, errors.Join(err, h.Release(ctx))
	}
	return h, nil
}

// acquire takes one key, waiting in line until the deadline.
func (l *Locker) acquire(ctx context.Context, key string, r Request, deadline time.Time) (*lease, error) {
	got := &lease{name: key, token: r.mode() + ":" + uuid.NewString()}
	begun := time.Now()
	for {
		asked := time.Now()
		patience := time.Duration(0)
		if asked.Before(deadline) {
			patience = waiting
		}
		number, next, ends, err := l.ask(ctx, got.token, key, r, patience)
		switch {
		case err != nil && patience > 0 && ctx.Err() == nil:
			if err := pause(ctx, min(100*time.Millisecond, time.Until(deadline))); err != nil {
				return nil, l.leave(ctx, got, err)
			}
			continue
		case err != nil:
			return nil, l.leave(ctx, got, err)
		case number > 0:
			got.number, got.since, got.waited = number, asked, asked.Sub(begun)
			l.wake(ctx, next)
			return got, nil
		case patience == 0:
			return nil, l.leave(ctx, got, ErrHeld)
		}
		if err := l.await(ctx, got.token, min(time.Second, ends+time.Millisecond, time.Until(deadline))); err != nil {
			return nil, l.leave(ctx, got, err)
		}
	}
}

// ask runs the acquire script once; number 0 means that others hold the key, and ends when the first of their leases does.
func (l *Locker) ask(ctx context.Context, token, key string, r Request, patience time.Duration) (number int64, next string, ends time.Duration, err error) {
	floor := ""
	if l.config.Floor != nil {
		floor = "?"
	}
	for {
		reply, err := redis.Values(l.run(ctx, l.scripts.acquire,
			l.key(key, "holders"), l.key(key, "waiters"), l.key(key, "alive"), l.key(key, "about"), l.fenceKey(), l.namesKey(),
			token, max(1, r.Holders), r.TTL.Milliseconds(), patience.Milliseconds(), describe(l.config.Owner, r.Note), key, floor))
		if err != nil {
			return 0, "", 0, err
		}
		switch status, _ := redis.Int(reply[0], nil); status {
		case 1:
			number, err = redis.Int64(reply[1], nil)
			next, _ = redis.String(reply[2], nil)
			return number, next, 0, err
		case 0:
			ms, err := redis.Int64(reply[1], nil)
			return 0, "", time.Duration(ms) * time.Millisecond, err
		}
		seen, err := l.config.Floor(ctx)
		if err != nil {
			return 0, "", 0, fmt.Errorf("ask the database for the greatest number it has seen: %w", err)
		}
		floor = fmt.Sprint(seen)
	}
}

// await sleeps until the one before in the line has left, or the time is over.
func (l *Locker) await(ctx context.Context, token string, timeout time.Duration) error {
	timeout = max(timeout, time.Millisecond)
	conn, err := l.pool.GetContext(ctx)
	if err != nil {
		return pause(ctx, min(timeout, 50*time.Millisecond))
	}
	defer conn.Close()
	_, err = redis.DoContext(conn, ctx, "BLPOP", l.wakeKey(token), fmt.Sprintf("%.3f", timeout.Seconds()))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil && !errors.Is(err, redis.ErrNil) {
		return pause(ctx, min(timeout, 50*time.Millisecond))
	}
	return nil
}

// wake tells a waiter that it may be its turn. Whoever is not told looks within a second.
func (l *Locker) wake(ctx context.Context, token string) {
	if token == "" {
		return
	}
	conn, err := l.pool.GetContext(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	key := l.wakeKey(token)
	_ = conn.Send("RPUSH", key, 1)
	_ = conn.Send("PEXPIRE", key, waiting.Milliseconds())
	_, _ = conn.Do("")
}

// leave gives up a place in the line, or a lease whose answer was lost. It works after ctx has ended, too.
func (l *Locker) leave(ctx context.Context, got *lease, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, next, err := l.drop(ctx, got)
	if err == nil {
		l.wake(ctx, next)
	}
	return cause
}

func (l *Locker) drop(ctx context.Context, got *lease) (held bool, next string, err error) {
	reply, err := redis.Values(l.run(ctx, l.scripts.release,
		l.key(got.name, "holders"), l.key(got.name, "waiters"), l.key(got.name, "alive"), l.key(got.name, "about"), got.token))
	if err != nil {
		return false, "", err
	}
	held, _ = redis.Bool(reply[0], nil)
	next, _ = redis.String(reply[1], nil)
	return held, next, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func describe(owner, note string) string {
	return strings.ReplaceAll(owner, "\n", " ") + "\n" + note
}
