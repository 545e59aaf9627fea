package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Waiter waits for messages of one list on a connection of its own. While it waits Redis holds one blocked BLMOVE and wakes exactly
// one waiter per message; the message goes into the session's inbox, and the claim script behind it on the same connection moves it
// on into unacked, so that at no instant it is in no key. Use it from one goroutine; Interrupt may be called from any.
type Waiter struct {
	session *Session
	queue   string
	step    int

	conn     redis.Conn
	clientID int64
	waiting  atomic.Bool
	mu       sync.Mutex // guards conn against Interrupt
}

// NewWaiter makes a waiter for one priority step of a queue (step 0 is the plain list). The queue must be one of the session's.
func (s *Session) NewWaiter(queue string, step int) *Waiter {
	return &Waiter{session: s, queue: queue, step: step}
}

// Wait blocks until a message comes, the timeout passes, ctx ends or Interrupt is called; the latter three give no claims and no error.
// With the message it claims what else the queue holds, up to most messages and about as many bytes. timeout should be
// well below the lease, so that a wait whose client died ends before the session may be fenced.
func (w *Waiter) Wait(ctx context.Context, timeout time.Duration, most int, bytes int64) ([]Claim, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	if w.clientID == 0 {
		timeout = min(timeout, shortWait)
	}
	w.waiting.Store(true)
	stop := context.AfterFunc(ctx, func() { w.Interrupt(context.WithoutCancel(ctx)) })
	claims, err := w.exchange(ctx, timeout, most, bytes)
	w.waiting.Store(false)
	stop()
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		w.Close() // a message may have been moved into the inbox: the caller must look, so the error is told even when ctx has ended
	}
	return claims, err
}

func (w *Waiter) exchange(ctx context.Context, timeout time.Duration, most int, bytes int64) ([]Claim, error) {
	s, l := w.session, w.session.broker.layout
	list, inbox := l.queueStep(w.queue, w.step), l.inbox(s.id, w.queue)
	sources := []source{{inbox, w.queue}}
	for _, step := range l.PrioritySteps {
		sources = append(sources, source{l.queueStep(w.queue, step), w.queue})
	}
	first, args := s.claimArgs(sources, 1, max(1, most), bytes, true)
	script := s.broker.scripts.claim
	if err := errors.Join(
		w.conn.Send("BLMOVE", list, inbox, "RIGHT", "LEFT", waitSeconds(timeout)),
		script.SendHash(w.conn, args...),
		w.conn.Flush(),
	); err != nil {
		return nil, fmt.Errorf("wait on queue %s: %w", w.queue, err)
	}
	_, waitErr := redis.ReceiveWithTimeout(w.conn, timeout+s.broker.options.IOTimeout)
	if waitErr != nil && w.conn.Err() != nil {
		return nil, fmt.Errorf("wait on queue %s: %w", w.queue, waitErr)
	}
	reply, err := redis.Values(w.conn.Receive())
	if isNoScript(err) {
		reply, err = redis.Values(script.DoContext(ctx, w.conn, args...))
	}
	if err != nil {
		return nil, fmt.Errorf("claim from queue %s: %w", w.queue, leaseLost(err))
	}
	claims, err := parseClaims(reply, first, sources)
	if err != nil {
		return claims, err
	}
	// UNBLOCKED, OOM, READONLY: the wait was refused, but what the claim behind it found is ours all the same.
	if waitErr != nil && len(claims) == 0 && !isUnblocked(waitErr) {
		return nil, fmt.Errorf("wait on queue %s: %w", w.queue, waitErr)
	}
	return claims, nil
}

func (w *Waiter) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.session.broker.dialer.dial(ctx)
	if err != nil {
		return fmt.Errorf("wait on queue %s: %w", w.queue, err)
	}
	id, err := redis.Int64(redis.DoContext(conn, ctx, "CLIENT", "ID"))
	if err != nil {
		id = 0 // an embedded broker without CLIENT ID: waits are short instead
	}
	w.mu.Lock()
	w.conn, w.clientID = conn, id
	w.mu.Unlock()
	return nil
}

// shortWait is how long a wait lasts that cannot be interrupted.
const shortWait = 200 * time.Millisecond

// Interrupt ends a wait that is under way, by CLIENT UNBLOCK so that the server's answer says whether a message was moved. When the server
// cannot be asked the connection is closed; a message that was moved at that moment stays in the inbox, where ClaimInboxes finds it.
func (w *Waiter) Interrupt(ctx context.Context) {
	for w.waiting.Load() {
		w.mu.Lock()
		conn, id := w.conn, w.clientID
		w.mu.Unlock()
		if conn == nil || id == 0 {
			return
		}
		unblocked, err := redis.Int(w.session.broker.do(ctx, "CLIENT", "UNBLOCK", id))
		if err != nil {
			_ = conn.Close()
			return
		}
		if unblocked == 1 {
			return
		}
		// The BLMOVE has not reached the server yet, or has just been answered.
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the waiter's connection. It may be used again, with a new one.
func (w *Waiter) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func isUnblocked(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && len(reply) >= 9 && reply[:9] == "UNBLOCKED"
}
