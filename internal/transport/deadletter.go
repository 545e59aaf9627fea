package transport

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/gomodule/redigo/redis"
)

// DeadLetter is an entry of the dead letters: its id, its description in JSON, and the message byte for byte.
type DeadLetter struct {
	ID      string
	Info    []byte
	Message []byte
}

// DeadLetters lists up to most entries from offset on, oldest first, without their messages.
func (b *Broker) DeadLetters(ctx context.Context, offset, most int) ([]DeadLetter, error) {
	ids, err := redis.Strings(b.do(ctx, "ZRANGE", b.layout.deadLetter(), offset, offset+most-1))
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	letters := make([]DeadLetter, 0, len(ids))
	for _, id := range ids {
		info, err := redis.Bytes(b.do(ctx, "HGET", b.layout.deadLetterInfo(), id))
		if err != nil && !errors.Is(err, redis.ErrNil) {
			return nil, fmt.Errorf("read dead letter %s: %w", id, err)
		}
		letters = append(letters, DeadLetter{ID: id, Info: info})
	}
	return letters, nil
}

// DeadLetterMessage reads one entry's message; nil when there is no such entry.
func (b *Broker) DeadLetterMessage(ctx context.Context, id string) ([]byte, error) {
	message, err := redis.Bytes(b.do(ctx, "HGET", b.layout.deadLetterMessage(), id))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read dead letter %s: %w", id, err)
	}
	return message, nil
}

//go:embed exhume.lua
var exhumeLua string

// Exhume takes an entry out of the dead letters in one step. With a queue its message goes byte for byte to that queue's tail; with "" it is dropped. False means that there
// was no such entry any more.
func (b *Broker) Exhume(ctx context.Context, id, queue string, priority int) (bool, error) {
	list := ""
	if queue != "" {
		list = b.layout.Queue(queue, priority)
	}
	l := b.layout
	done, err := redis.Bool(b.eval(ctx, b.scripts.exhume, 4, l.deadLetter(), l.deadLetterInfo(), l.deadLetterMessage(), list, id))
	if err != nil {
		return false, fmt.Errorf("take dead letter %s: %w", id, err)
	}
	return done, nil
}
