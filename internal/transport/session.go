package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ErrLeaseLost says that this session has been fenced, or that Redis has forgotten it: it can claim and settle nothing any more.
var ErrLeaseLost = errors.New("lease lost")

// Session is one identity on the broker: a worker id with a lease. Whoever holds claims renews the lease (Renew) well
// within Broker.Lease. A session that finds its lease lost is of no more use; open a new one.
type Session struct {
	broker *Broker
	id     string
	queues []string
	// next is the next sequence number to give out. A claim whose answer was lost uses up its numbers all the same.
	next  atomic.Uint64
	batch atomic.Uint64
}

// Claim is one message that a session holds.
type Claim struct {
	// Seq is the claim's number in its session; the field in unacked is <session id>/<seq>.
	Seq uint64
	// Queue is the name of the queue that it came from, without prefix and priority step.
	Queue string
	// Message is the envelope, byte for byte. For a message above Options.LargeMessage it is only its last 4 kB, and Size tells its length.
	Message []byte
	Size    int
}

// Large tells that Message holds only the tail of the message.
func (c Claim) Large() bool { return c.Size > len(c.Message) }

// Open registers a session under the given worker id, which must be new, for the given queues.
func (b *Broker) Open(ctx context.Context, id string, queues []string) (*Session, error) {
	if strings.ContainsAny(id, "/") || id == "" {
		return nil, fmt.Errorf("open session: worker id %q is empty or has a slash", id)
	}
	b.forgetClock()
	now, err := b.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("open session %s: %w", id, err)
	}
	s := &Session{broker: b, id: id, queues: queues}
	s.next.Store(1)
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("open session %s: %w", id, err)
	}
	defer conn.Close()
	names := redis.Args{b.layout.queuesOf(id)}.AddFlat(queues)
	_ = conn.Send("MULTI")
	_ = conn.Send("SADD", names...)
	_ = conn.Send("ZADD", b.layout.workers(), now+b.options.Lease.Seconds(), id)
	if _, err := redis.DoContext(conn, ctx, "EXEC"); err != nil {
		return nil, fmt.Errorf("open session %s: %w", id, err)
	}
	return s, nil
}

// ID is the worker id of this session.
func (s *Session) ID() string { return s.id }

// AddQueue makes the session able to wait on one more queue.
func (s *Session) AddQueue(ctx context.Context, queue string) error {
	if _, err := s.broker.do(ctx, "SADD", s.broker.layout.queuesOf(s.id), queue); err != nil {
		return fmt.Errorf("add queue %s to session %s: %w", queue, s.id, err)
	}
	return nil
}

// Renew extends the lease. ErrLeaseLost when the session was fenced or forgotten.
func (s *Session) Renew(ctx context.Context) error {
	now, err := s.broker.now(ctx)
	if err != nil {
		return fmt.Errorf("renew lease of %s: %w", s.id, err)
	}
	// XX: a session that is not registered any more must not come back. CH: a changed score answers 1.
	// A connection that has gone silent is given up soon enough for a second attempt within the lease.
	ctx, cancel := context.WithTimeout(ctx, min(s.broker.options.IOTimeout, s.broker.options.Lease/3))
	defer cancel()
	changed, err := redis.Int(s.broker.do(ctx, "ZADD", s.broker.layout.workers(), "XX", "CH", now+s.broker.options.Lease.Seconds(), s.id))
	if err != nil {
		return fmt.Errorf("renew lease of %s: %w", s.id, err)
	}
	if changed == 0 {
		return fmt.Errorf("renew lease of %s: %w", s.id, ErrLeaseLost)
	}
	return nil
}

// Refresh moves the index score of claims to now, so that no consumer restores them by age (kombu's visibility timeout).
func (s *Session) Refresh(ctx context.Context, seqs []uint64) error {
	now, err := s.broker.now(ctx)
	if err != nil {
		return fmt.Errorf("refresh claims of %s: %w", s.id, err)
	}
	for start := 0; start < len(seqs); start += 1000 {
		args := redis.Args{s.broker.layout.unackedIndex(), "XX"}
		for _, seq := range seqs[start:min(start+1000, len(seqs))] {
			args = append(args, now, s.tag(seq))
		}
		if _, err := s.broker.do(ctx, "ZADD", args...); err != nil {
			return fmt.Errorf("refresh claims of %s: %w", s.id, err)
		}
	}
	return nil
}

// MarkStarted notes that the handler of a redelivered message is about to run, so that if this worker dies now the delivery counts as an attempt.
func (s *Session) MarkStarted(ctx context.Context, seq uint64) error {
	if _, err := s.broker.do(ctx, "SADD", s.broker.layout.started(s.id), seq); err != nil {
		return fmt.Errorf("mark %s started: %w", s.tag(seq), err)
	}
	return nil
}

// Orphans returns claims of this session that it does not know: claimed by a script whose answer was lost. known tells which
// sequence numbers are in hand. It must not run while a claim of this session is under way.
func (s *Session) Orphans(ctx context.Context, known func(seq uint64) bool) ([]Claim, error) {
	l := s.broker.layout
	seqs, err := redis.Uint64s(s.broker.do(ctx, "SMEMBERS", l.claims(s.id)))
	if err != nil {
		return nil, fmt.Errorf("look for lost claims of %s: %w", s.id, err)
	}
	var found []Claim
	for _, seq := range seqs {
		if known(seq) {
			continue
		}
		value, err := redis.Bytes(s.broker.do(ctx, "HGET", l.unacked(), s.tag(seq)))
		if errors.Is(err, redis.ErrNil) {
			continue // settled in between, or restored by a Python worker
		}
		if err != nil {
			return found, fmt.Errorf("look for lost claims of %s: %w", s.id, err)
		}
		// Parked in between: it is in unacked, but not this session's any more.
		held, err := redis.Bool(s.broker.do(ctx, "SISMEMBER", l.claims(s.id), seq))
		if err != nil {
			return found, fmt.Errorf("look for lost claims of %s: %w", s.id, err)
		}
		if !held {
			continue
		}
		message, queue := splitUnacked(value)
		found = append(found, Claim{Seq: seq, Queue: queue, Message: message, Size: len(message)})
	}
	return found, nil
}

// Close gives up the identity. What it still holds goes back to the head of its queues, unchanged, and its id may claim nothing any more.
func (s *Session) Close(ctx context.Context) error {
	b := s.broker
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return fmt.Errorf("close session %s: %w", s.id, err)
	}
	now, _ := b.now(ctx)
	_ = conn.Send("MULTI")
	_ = conn.Send("ZREM", b.layout.workers(), s.id)
	_ = conn.Send("ZADD", b.layout.fenced(), now, s.id)
	_, err = redis.DoContext(conn, ctx, "EXEC")
	_ = conn.Close()
	if err != nil {
		return fmt.Errorf("close session %s: %w", s.id, err)
	}
	if _, err := b.Recover(ctx, s.id, func(message []byte, _ bool) []byte { return message }); err != nil {
		return fmt.Errorf("close session %s: %w", s.id, err)
	}
	return nil
}

func (s *Session) tag(seq uint64) string { return fmt.Sprintf("%s/%d", s.id, seq) }

// tail is what follows the message in its unacked value: exchange "" and the queue as routing key.
func tail(queue string) string {
	name, err := json.Marshal(queue)
	if err != nil { // a string always marshals
		name = []byte(`""`)
	}
	return `,"",` + string(name) + "]"
}

// splitUnacked takes apart an unacked value that Lovage wrote. Inside JSON strings quotes are escaped, so the last ,"", is
// the one before the queue's name.
func splitUnacked(value []byte) (message []byte, queue string) {
	i := bytes.LastIndex(value, []byte(`,"",`))
	if i < 1 {
		return bytes.Trim(value, "[]"), ""
	}
	_ = json.Unmarshal(bytes.TrimSuffix(value[i+4:], []byte("]")), &queue)
	return value[1:i], queue
}

// leaseLost turns the scripts' LEASELOST error into ErrLeaseLost.
func leaseLost(err error) error {
	var reply redis.Error
	if errors.As(err, &reply) && strings.HasPrefix(string(reply), "LEASELOST") {
		return ErrLeaseLost
	}
	return err
}

// waitSeconds is a BLMOVE timeout.
func waitSeconds(d time.Duration) float64 { return max(0.01, d.Seconds()) }
