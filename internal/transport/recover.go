package transport

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ghostTime is how long the inboxes of a fenced worker are looked at again: a BLMOVE whose client is gone may still be blocked on the server.
const ghostTime = 60 * time.Second

// Lapsed lists the workers whose lease is over but who are not fenced yet, and tells when the next lease will end (zero: there is none).
func (b *Broker) Lapsed(ctx context.Context) (ids []string, next time.Time, err error) {
	now, err := b.now(ctx)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("look for lapsed leases: %w", err)
	}
	reply, err := redis.Strings(b.do(ctx, "ZRANGE", b.layout.workers(), 0, 9, "WITHSCORES"))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("look for lapsed leases: %w", err)
	}
	for i := 0; i+1 < len(reply); i += 2 {
		end, err := redis.Float64([]byte(reply[i+1]), nil)
		if err != nil {
			return ids, next, fmt.Errorf("look for lapsed leases: %w", err)
		}
		if end > now {
			return ids, b.localTime(end), nil
		}
		ids = append(ids, reply[i])
	}
	return ids, next, nil
}

// Fence takes the lease of a worker whose time is up. True means that it is fenced and that its claims may be restored.
func (b *Broker) Fence(ctx context.Context, id string) (bool, error) {
	fenced, err := redis.Bool(b.eval(ctx, b.scripts.fence, 2, b.layout.workers(), b.layout.fenced(), id))
	if err != nil {
		return false, fmt.Errorf("fence worker %s: %w", id, err)
	}
	return fenced, nil
}

// Fenced lists workers that were fenced and are not wholly recovered yet, at most 100.
func (b *Broker) Fenced(ctx context.Context) ([]string, error) {
	ids, err := redis.Strings(b.do(ctx, "ZRANGE", b.layout.fenced(), 0, 99))
	if err != nil {
		return nil, fmt.Errorf("list fenced workers: %w", err)
	}
	return ids, nil
}

// IsFenced tells whether the worker id was fenced lately, that is, whether others restored its claims.
func (b *Broker) IsFenced(ctx context.Context, id string) (bool, error) {
	_, err := redis.Float64(b.do(ctx, "ZSCORE", b.layout.fenced(), id))
	if errors.Is(err, redis.ErrNil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask whether worker %s is fenced: %w", id, err)
	}
	return true, nil
}

// Recover puts everything that a fenced worker holds back at the head of its queues: inboxes as they are, claims as edit returns them (edit
// marks the redelivery; started tells that a redelivered message's handler had been started). It costs what the worker held, not
// what unacked holds. Several may recover one worker at once. The worker's keys are removed once no ghost of it can come any more.
func (b *Broker) Recover(ctx context.Context, id string, edit func(message []byte, started bool) []byte) (int, error) {
	restored, err := b.recoverInboxes(ctx, id)
	if err != nil {
		return restored, err
	}
	for {
		n, more, err := b.recoverClaims(ctx, id, edit)
		restored += n
		if err != nil {
			return restored, fmt.Errorf("recover worker %s: %w", id, err)
		}
		if !more {
			break
		}
	}
	return restored, b.forget(ctx, id)
}

func (b *Broker) recoverInboxes(ctx context.Context, id string) (int, error) {
	restored := 0
	queues, err := redis.Strings(b.do(ctx, "SMEMBERS", b.layout.queuesOf(id)))
	if err != nil {
		return 0, fmt.Errorf("recover inboxes of %s: %w", id, err)
	}
	for _, queue := range queues {
		for {
			_, err := redis.Bytes(b.do(ctx, "LMOVE", b.layout.inbox(id, queue), b.layout.Queue(queue, 0), "LEFT", "RIGHT"))
			if errors.Is(err, redis.ErrNil) {
				break
			}
			if err != nil {
				return restored, fmt.Errorf("recover inbox of %s: %w", id, err)
			}
			restored++
		}
	}
	return restored, nil
}

// recoverBatch bounds how many messages are read at once, recoverBytes how large they may be together before they are written back.
const (
	recoverBatch = 500
	recoverBytes = 16 << 20
)

// recoverClaims restores some claims; more tells that there may be others.
func (b *Broker) recoverClaims(ctx context.Context, id string, edit func([]byte, bool) []byte) (restored int, more bool, err error) {
	seqs, err := redis.Strings(b.do(ctx, "SRANDMEMBER", b.layout.claims(id), recoverBatch))
	if err != nil || len(seqs) == 0 {
		return 0, false, err
	}
	// The last one pushed is the first one served: the oldest claim goes last.
	sort.Slice(seqs, func(i, j int) bool {
		return len(seqs[i]) > len(seqs[j]) || len(seqs[i]) == len(seqs[j]) && seqs[i] > seqs[j]
	})
	started, err := b.startedOf(ctx, id)
	if err != nil {
		return 0, false, err
	}
	r := restorer{broker: b, owner: id}
	for _, seq := range seqs {
		value, err := redis.Bytes(b.do(ctx, "HGET", b.layout.unacked(), id+"/"+seq))
		if err != nil && !errors.Is(err, redis.ErrNil) {
			return r.restored, false, err
		}
		message, queue := splitUnacked(value)
		if value != nil {
			message = edit(message, started[seq])
		}
		if err := r.add(ctx, id+"/"+seq, seq, queue, message); err != nil {
			return r.restored, false, err
		}
	}
	err = r.flush(ctx)
	return r.restored, true, err
}

func (b *Broker) startedOf(ctx context.Context, id string) (map[string]bool, error) {
	seqs, err := redis.Strings(b.do(ctx, "SMEMBERS", b.layout.started(id)))
	if err != nil {
		return nil, err
	}
	started := make(map[string]bool, len(seqs))
	for _, seq := range seqs {
		started[seq] = true
	}
	return started, nil
}

// restorer gathers runs of restore.lua.
type restorer struct {
	broker   *Broker
	owner    string
	keys     []any
	argv     []any
	bytes    int
	restored int
}

func (r *restorer) add(ctx context.Context, tag, seq, queue string, message []byte) error {
	list := r.broker.layout.Queue(queue, priorityOf(message))
	r.keys = append(r.keys, list)
	r.argv = append(r.argv, tag, seq, message)
	r.bytes += len(message)
	if r.bytes < recoverBytes {
		return nil
	}
	return r.flush(ctx)
}

func (r *restorer) flush(ctx context.Context) error {
	if len(r.keys) == 0 {
		return nil
	}
	l := r.broker.layout
	args := redis.Args{4 + len(r.keys), l.unacked(), l.unackedIndex(), l.claims(r.owner), l.started(r.owner)}
	args = append(append(args, r.keys...), r.argv...)
	n, err := redis.Int(r.broker.eval(ctx, r.broker.scripts.restore, args...))
	r.restored += n
	r.keys, r.argv, r.bytes = nil, nil, 0
	return err
}

// forget removes the keys of a fenced worker that holds nothing, once no ghost of it can come any more.
func (b *Broker) forget(ctx context.Context, id string) error {
	now, err := b.now(ctx)
	if err != nil {
		return fmt.Errorf("forget worker %s: %w", id, err)
	}
	since, err := redis.Float64(b.do(ctx, "ZSCORE", b.layout.fenced(), id))
	if errors.Is(err, redis.ErrNil) || err == nil && now-since < ghostTime.Seconds() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget worker %s: %w", id, err)
	}
	l := b.layout
	if _, err := b.do(ctx, "DEL", l.queuesOf(id), l.settled(id), l.started(id)); err != nil {
		return fmt.Errorf("forget worker %s: %w", id, err)
	}
	if _, err := b.do(ctx, "ZREM", l.fenced(), id); err != nil {
		return fmt.Errorf("forget worker %s: %w", id, err)
	}
	return nil
}
