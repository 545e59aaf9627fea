package transport

import (
	"context"
	"fmt"

	"github.com/gomodule/redigo/redis"
)

// ofResults tells that an effect belongs to the result backend.
func (e Effect) ofResults() bool {
	switch e.op {
	case 'S', 'C', 'F', 'I', 'Z', 'V':
		return true
	}
	return false
}

// settleElsewhere settles when the results are on a server that is not the broker's. They are written before the acknowledgement: a crash in between writes them
// again after the redelivery; a stored SUCCESS is kept, and a chord's member is counted once. A chord's keys go after its body was sent.
func (s *Session) settleElsewhere(ctx context.Context, batch Batch) (Answer, error) {
	var answer Answer
	b := s.broker
	conn, err := b.resultPool.GetContext(ctx)
	if err != nil {
		return answer, fmt.Errorf("store results: %w", err)
	}
	defer conn.Close()
	whole := Batch{number: batch.number}
	var finished []Effect
	for _, entry := range batch.entries {
		complete, err := b.countElsewhere(ctx, conn, entry)
		if err != nil {
			return answer, err
		}
		if len(complete) > 0 {
			answer.Complete = append(answer.Complete, complete...)
			continue
		}
		kept, done, err := b.storeElsewhere(ctx, conn, entry)
		if err != nil {
			return answer, err
		}
		whole.entries, finished = append(whole.entries, kept), append(finished, done...)
	}
	if err := s.settle(ctx, whole, &answer); err != nil {
		return answer, err
	}
	for _, effect := range finished {
		if _, err := b.scripts.finish.DoContext(ctx, conn, scriptArgs(effect)...); err != nil {
			return answer, fmt.Errorf("finish chord: %w", err)
		}
	}
	return answer, nil
}

func scriptArgs(e Effect) redis.Args {
	args := redis.Args{len(e.keys)}.AddFlat(e.keys)
	if e.key != "" {
		args = redis.Args{1, e.key}
	}
	return append(args, e.args...)
}

func (b *Broker) countElsewhere(ctx context.Context, conn redis.Conn, entry Settlement) ([]Completion, error) {
	var complete []Completion
	part := 0
	for _, effect := range entry.Effects {
		if effect.op == 'I' {
			if _, err := b.scripts.grow.DoContext(ctx, conn, scriptArgs(effect)...); err != nil {
				return nil, fmt.Errorf("add to chord: %w", err)
			}
		}
		if effect.op != 'C' {
			continue
		}
		ready, err := redis.Int(b.scripts.part.DoContext(ctx, conn, scriptArgs(effect)...))
		if err != nil {
			return nil, fmt.Errorf("count chord: %w", err)
		}
		if ready == 1 {
			complete = append(complete, Completion{Seq: entry.Claim.Seq, Part: part})
		}
		part++
	}
	return complete, nil
}

// storeElsewhere writes what belongs to the results, and returns the settlement without what another worker has dispatched, and the chords to be removed after it.
func (b *Broker) storeElsewhere(ctx context.Context, conn redis.Conn, entry Settlement) (kept Settlement, finished []Effect, err error) {
	kept = entry
	kept.Effects = nil
	skip := 0
	for _, effect := range entry.Effects {
		if skip > 0 {
			skip--
			continue
		}
		switch effect.op {
		case 'S':
			_, err = b.scripts.result.DoContext(ctx, conn, scriptArgs(effect)...)
		case 'Z':
			_, err = b.scripts.size.DoContext(ctx, conn, scriptArgs(effect)...)
		case 'V':
			args := redis.Args{effect.key, effect.args[0]}
			if ttl, _ := effect.args[1].(int64); ttl > 0 {
				args = args.Add("PX", ttl)
			}
			_, err = redis.DoContext(conn, ctx, "SET", args...)
		case 'F':
			var mine int
			if mine, err = redis.Int(b.scripts.claimed.DoContext(ctx, conn, scriptArgs(effect)...)); err == nil && mine == 0 {
				skip, _ = effect.args[2].(int)
			} else {
				finished = append(finished, effect)
			}
		case 'C', 'I': // done before
		default:
			kept.Effects = append(kept.Effects, effect)
		}
		if err != nil {
			return kept, nil, fmt.Errorf("store result %s: %w", effect.key, err)
		}
	}
	return kept, finished, nil
}
