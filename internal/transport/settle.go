package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Mode says what a settlement needs of the claim.
type Mode byte

// The modes of a settlement.
const (
	// Ack ends the claim; the effects happen only if it still stood.
	Ack Mode = 'A'
	// Hold leaves the claim; the effects happen only if it stands (a STARTED result).
	Hold Mode = 'H'
	// Free needs no claim: the message was acknowledged before it ran (acks_late=False).
	Free Mode = 'N'
)

// Settlement is what becomes of one message. Its effects are carried out together with its acknowledgement, in one step.
type Settlement struct {
	Claim   Claim
	Mode    Mode
	Effects []Effect
}

// Effect is one write of the settle step; made by the functions below.
type Effect struct {
	op   byte
	key  string   // takes a KEYS slot when not empty
	keys []string // take more
	args []any
}

// StoreResult stores a result document under key for ttl (0 = for ever) and publishes it on the channel of the same name.
// A stored SUCCESS is kept, as Celery keeps it.
func StoreResult(key string, document []byte, ttl time.Duration) Effect {
	return Effect{op: 'S', key: key, args: []any{document, ttl.Milliseconds(), key}}
}

// Push appends a message to the tail of a queue's list, as a producer does.
func Push(list string, message []byte) Effect {
	return Effect{op: 'L', key: list, args: []any{message}}
}

// Publish sends a payload to a channel.
func Publish(channel string, payload []byte) Effect {
	return Effect{op: 'E', args: []any{channel, payload}}
}

// GiveBack puts the claimed message itself back at the head of a list, byte for byte.
func GiveBack(list, queue string) Effect {
	return Effect{op: 'B', key: list, args: []any{tail(queue)}}
}

// Requeue puts the claimed message itself at the tail of a list, as Celery's reject with requeue does.
func Requeue(list, queue string) Effect {
	return Effect{op: 'T', key: list, args: []any{tail(queue)}}
}

// Park sets the claimed message aside until due: it stays in unacked, under the due time, and any session of the queue takes it when due.
func (b *Broker) Park(queue string, due time.Time) Effect {
	return Effect{op: 'P', key: b.layout.parked(queue), args: []any{Score(due)}}
}

// Bury moves the claimed message itself to the dead letters under an id, with a description in JSON.
func Bury(id string, info []byte, queue string, now time.Time) Effect {
	return Effect{op: 'D', args: []any{id, info, tail(queue), Score(now)}}
}

// Report does nothing, but makes a refused settlement be named by its number; a plain acknowledgement is only counted.
func Report() Effect { return Effect{op: 'X'} }

// Answer tells which settlements were not carried out: because their claim did not stand any more, or because they are not whole yet.
type Answer struct {
	// Acks counts the plain acknowledgements whose claim was gone (their messages had been restored).
	Acks int
	// Seqs are the claims whose effects were refused.
	Seqs []uint64
	// Complete are the settlements that stopped at a chord that they made complete: the members are counted, all else is still to be done.
	Complete []Completion
}

// Completion names a settlement and which of its CountPart effects (from 0) made a chord complete.
type Completion struct {
	Seq  uint64
	Part int
}

// Batch is a number of settlements that go to Redis in one script. Sent twice, it is carried out once.
type Batch struct {
	number  uint64
	entries []Settlement
}

// NewBatch fixes the settlements under the session's next batch number.
func (s *Session) NewBatch(entries []Settlement) Batch {
	return Batch{number: s.batch.Add(1), entries: entries}
}

// Settle carries out a batch. When it fails on the way (the connection broke, Redis is full) the same batch is to be sent again, before any other: a
// batch whose answer was lost changes nothing the second time and gives the first answer. One batch at a time per session.
func (s *Session) Settle(ctx context.Context, batch Batch) (Answer, error) {
	var answer Answer
	if s.broker.resultPool != nil {
		return s.settleElsewhere(ctx, batch)
	}
	err := s.settle(ctx, batch, &answer)
	return answer, err
}

func (s *Session) settle(ctx context.Context, batch Batch, answer *Answer) error {
	reply, err := redis.Int64s(s.broker.eval(ctx, s.broker.scripts.settle, s.settleArgs(batch)...))
	if err != nil {
		return fmt.Errorf("settle %d messages of %s: %w", len(batch.entries), s.id, err)
	}
	if len(reply) < 2 || len(reply) < 2+int(reply[1]) {
		return fmt.Errorf("settle %d messages of %s: %w", len(batch.entries), s.id, errReply)
	}
	answer.Acks = int(reply[0])
	for _, seq := range reply[2 : 2+reply[1]] {
		answer.Seqs = append(answer.Seqs, uint64(seq))
	}
	for rest := reply[2+reply[1]:]; len(rest) >= 2; rest = rest[2:] {
		answer.Complete = append(answer.Complete, Completion{Seq: uint64(rest[0]), Part: int(rest[1]) - 1})
	}
	return nil
}

func (s *Session) settleArgs(batch Batch) redis.Args {
	b, l := s.broker, s.broker.layout
	keys := []any{l.unacked(), l.unackedIndex(), l.claims(s.id), l.settled(s.id), l.started(s.id),
		l.deadLetter(), l.deadLetterInfo(), l.deadLetterMessage()}
	argv := []any{s.id, batch.number, b.resultDatabase, b.dialer.database, len(batch.entries)}
	for _, entry := range batch.entries {
		at := len(argv)
		argv = append(argv, entry.Claim.Seq, string(rune(entry.Mode)), 0)
		count := 0
		for _, effect := range entry.Effects {
			if b.resultPool != nil && effect.ofResults() {
				continue // done before, on its own server
			}
			count++
			if effect.key != "" {
				keys = append(keys, effect.key)
			}
			for _, key := range effect.keys {
				keys = append(keys, key)
			}
			argv = append(argv, string(rune(effect.op)))
			argv = append(argv, effect.args...)
		}
		argv[at+2] = count
	}
	args := make(redis.Args, 0, 1+len(keys)+len(argv))
	args = append(args, len(keys))
	args = append(args, keys...)
	return append(args, argv...)
}

// Size is about how many bytes the effect sends.
func (e Effect) Size() int {
	size := len(e.key)
	for _, arg := range e.args {
		switch arg := arg.(type) {
		case []byte:
			size += len(arg)
		case string:
			size += len(arg)
		}
	}
	return size
}
