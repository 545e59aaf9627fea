package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// source is one list to claim from, and the queue that it belongs to.
type source struct{ key, queue string }

// Claim takes up to most messages, and about as many bytes, from the lists of the queues: the first priority step of all queues,
// each with an even share, then the next step. An empty result means that all lists are empty.
func (s *Session) Claim(ctx context.Context, queues []string, most int, bytes int64) ([]Claim, error) {
	var sources []source
	for _, step := range s.broker.layout.PrioritySteps {
		for _, queue := range queues {
			sources = append(sources, source{s.broker.layout.queueStep(queue, step), queue})
		}
	}
	return s.claim(ctx, sources, len(queues), most, bytes)
}

// ClaimInboxes claims what an interrupted wait has left in the session's own inboxes.
func (s *Session) ClaimInboxes(ctx context.Context, queues []string, most int, bytes int64) ([]Claim, error) {
	var sources []source
	for _, queue := range queues {
		sources = append(sources, source{s.broker.layout.inbox(s.id, queue), queue})
	}
	return s.claim(ctx, sources, len(sources), most, bytes)
}

func (s *Session) claim(ctx context.Context, sources []source, width, most int, bytes int64) ([]Claim, error) {
	first, args := s.claimArgs(sources, width, most, bytes, false)
	reply, err := redis.Values(s.broker.eval(ctx, s.broker.scripts.claim, args...))
	if err != nil {
		return nil, fmt.Errorf("claim for %s: %w", s.id, leaseLost(err))
	}
	return parseClaims(reply, first, sources)
}

// claimArgs sets aside most sequence numbers for one run of the claim script and makes its arguments. afterWait: the first source is an inbox, and an empty one means that
// there was nothing to wait for.
func (s *Session) claimArgs(sources []source, width, most int, bytes int64, afterWait bool) (first uint64, args redis.Args) {
	l := s.broker.layout
	first = s.next.Add(uint64(most)) - uint64(most)
	args = redis.Args{4 + len(sources), l.workers(), l.unacked(), l.unackedIndex(), l.claims(s.id)}
	for _, src := range sources {
		args = append(args, src.key)
	}
	args = append(args, s.id, first, most, bytes, s.broker.options.LargeMessage, width, afterWait)
	for _, src := range sources {
		args = append(args, tail(src.queue))
	}
	return first, args
}

var errReply = errors.New("unexpected reply from a script")

// parseClaims reads claim.lua's flat list of groups.
func parseClaims(reply []any, first uint64, sources []source) ([]Claim, error) {
	claims := make([]Claim, 0, max(0, len(reply)-2))
	for i := 0; i+1 < len(reply); {
		index, ok1 := reply[i].(int64)
		count, ok2 := reply[i+1].(int64)
		if !ok1 || !ok2 || index < 1 || int(index) > len(sources) || i+2+int(count) > len(reply) {
			return claims, fmt.Errorf("claim: %w", errReply)
		}
		for _, item := range reply[i+2 : i+2+int(count)] {
			claim, err := makeClaim(item, first+uint64(len(claims)), sources[index-1].queue)
			if err != nil {
				return claims, err
			}
			claims = append(claims, claim)
		}
		i += 2 + int(count)
	}
	return claims, nil
}

// makeClaim reads one message of a reply: the bytes, or {size, tail} of a large one.
func makeClaim(item any, seq uint64, queue string) (Claim, error) {
	switch item := item.(type) {
	case []byte:
		return Claim{Seq: seq, Queue: queue, Message: item, Size: len(item)}, nil
	case []any:
		if len(item) == 2 {
			size, ok1 := item[0].(int64)
			end, ok2 := item[1].([]byte)
			if ok1 && ok2 {
				return Claim{Seq: seq, Queue: queue, Message: end, Size: int(size)}, nil
			}
		}
	}
	return Claim{}, fmt.Errorf("claim: %w", errReply)
}

// Due takes up to most parked messages of the queue that are due, and tells when the next one will be (zero: none is parked).
func (s *Session) Due(ctx context.Context, queue string, most int, bytes int64) ([]Claim, time.Time, error) {
	l := s.broker.layout
	first := s.next.Add(uint64(most)) - uint64(most)
	reply, err := redis.Values(s.broker.eval(ctx, s.broker.scripts.due,
		5, l.workers(), l.unacked(), l.unackedIndex(), l.claims(s.id), l.parked(queue),
		s.id, first, most, bytes, s.broker.options.LargeMessage, len(tail(queue))))
	if err != nil || len(reply) == 0 {
		return nil, time.Time{}, fmt.Errorf("take due messages of %s: %w", queue, leaseLost(err))
	}
	claims := make([]Claim, 0, len(reply)-1)
	for _, item := range reply[1:] {
		claim, err := makeClaim(item, first+uint64(len(claims)), queue)
		if err != nil {
			return claims, time.Time{}, err
		}
		claims = append(claims, claim)
	}
	if text, _ := redis.String(reply[0], nil); text != "" {
		score, err := redis.Float64(reply[0], nil)
		if err != nil {
			return claims, time.Time{}, fmt.Errorf("take due messages of %s: %w", queue, err)
		}
		return claims, s.broker.localTime(score), nil
	}
	return claims, time.Time{}, nil
}

// isNoScript tells that the server has not the script in its cache (new server, failover, SCRIPT FLUSH).
func isNoScript(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.HasPrefix(string(reply), "NOSCRIPT")
}
