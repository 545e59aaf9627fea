package lockutil

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Held is a lock that is held, on one key or on several.
type Held struct {
	locker  *Locker
	request Request
	leases  []*lease

	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  sync.WaitGroup

	mu       sync.Mutex
	deadline time.Time // of the lease, by this machine's monotonic clock, which a paused process' wake-up finds advanced
	released bool
}

// Context ends when the lease is lost, with a cause that wraps ErrLost, when it is released, and when the context given to Lock does.
func (h *Held) Context() context.Context { return h.ctx }

// Number is the lease's number on a key: greater than every number given out for it before. 0 for a key that is not part of the lock.
func (h *Held) Number(key string) int64 {
	for _, l := range h.leases {
		if l.name == key {
			return l.number
		}
	}
	return 0
}

// Numbers are the numbers of all keys of the lock.
func (h *Held) Numbers() map[string]int64 {
	numbers := make(map[string]int64, len(h.leases))
	for _, l := range h.leases {
		numbers[l.name] = l.number
	}
	return numbers
}

// Waited is how long Lock waited, over all keys.
func (h *Held) Waited() time.Duration {
	var sum time.Duration
	for _, l := range h.leases {
		sum += l.waited
	}
	return sum
}

// Since is when the last of the keys was taken.
func (h *Held) Since() time.Time { return h.leases[len(h.leases)-1].since }

// Err is nil while the lease stands as far as this machine can know: not lost, and not past its end by the clock that also runs while a process is paused.
// nil is no proof that nobody else holds the key; see CheckFence.
func (h *Held) Err() error {
	if cause := context.Cause(h.ctx); cause != nil {
		return cause
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().After(h.deadline) {
		return fmt.Errorf("%w: its lease ran out before it could be renewed", ErrLost)
	}
	return nil
}

// begin starts the renewal: nothing happens for a third of the lease, so that a short task costs no goroutine.
func (h *Held) begin(ctx context.Context) {
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	h.deadline = h.leases[0].since.Add(h.request.TTL)
	h.ended.Add(1)
	timer := time.AfterFunc(h.request.TTL/3, func() {
		defer h.ended.Done()
		h.renew()
	})
	context.AfterFunc(h.ctx, func() {
		if timer.Stop() {
			h.ended.Done()
		}
	})
}

// renew keeps the lease until the lock's context ends.
func (h *Held) renew() {
	for {
		asked := time.Now()
		err := h.renewAll(h.ctx)
		every := h.request.TTL / 3
		switch {
		case err == nil:
			h.mu.Lock()
			h.deadline = asked.Add(h.request.TTL)
			h.mu.Unlock()
		case errors.Is(err, ErrLost):
			h.lose(err)
			return
		case h.Err() != nil && h.ctx.Err() == nil:
			h.lose(fmt.Errorf("%w: %w", h.Err(), err))
			return
		default:
			every = h.request.TTL / 20
		}
		if pause(h.ctx, every) != nil {
			return
		}
	}
}

func (h *Held) renewAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(h.request.TTL/3, 100*time.Millisecond))
	defer cancel()
	for _, l := range h.taken() {
		still, err := redis.Bool(h.locker.run(ctx, h.locker.scripts.renew, h.locker.key(l.name, "holders"), h.locker.key(l.name, "about"), l.token, h.request.TTL.Milliseconds()))
		if err != nil {
			return err
		}
		if !still {
			return fmt.Errorf("%w: %s is not ours any more", ErrLost, l.name)
		}
	}
	return nil
}

// taken are the leases so far: the renewal begins before the last key is taken.
func (h *Held) taken() []*lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases[:len(h.leases):len(h.leases)]
}

func (h *Held) lose(err error) {
	for _, l := range h.taken() {
		h.locker.observe(Event{Key: l.name, Op: "renew", Result: "lost", Number: l.number, Note: h.request.Note, Held: time.Since(l.since), Err: err})
	}
	h.cancel(err)
}

// Release gives the lock back; only what is still ours is touched. It works after the lock's context has ended, may be called twice, and returns ErrLost when a lease
// was gone already.
func (h *Held) Release(ctx context.Context) error {
	h.mu.Lock()
	if h.released {
		h.mu.Unlock()
		return nil
	}
	h.released = true
	h.mu.Unlock()
	h.cancel(context.Canceled)
	h.ended.Wait()
	return h.giveBack(ctx)
}

// giveBack drops the leases in the reverse order.
func (h *Held) giveBack(ctx context.Context) error {
	if h.cancel != nil {
		h.cancel(context.Canceled)
		h.ended.Wait()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var failures []error
	for i := len(h.leases) - 1; i >= 0; i-- {
		l := h.leases[i]
		held, next, err := h.locker.drop(ctx, l)
		e := Event{Key: l.name, Op: "release", Result: "released", Number: l.number, Note: h.request.Note, Waited: l.waited, Held: time.Since(l.since)}
		switch {
		case err != nil:
			e.Result, e.Err = "error", fmt.Errorf("release %s: %w", l.name, err)
		case !held:
			e.Result, e.Err = "lost", fmt.Errorf("release %s: %w", l.name, ErrLost)
		default:
			h.locker.wake(ctx, next)
		}
		h.locker.observe(e)
		if e.Err != nil {
			failures = append(failures, e.Err)
		}
	}
	return errors.Join(failures...)
}
