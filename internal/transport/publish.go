package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Outgoing is a message on its way to a list.
type Outgoing struct {
	List    string
	Message []byte
}

// SendAll appends messages to the tails of their lists: all or none of them, in one round trip.
func (b *Broker) SendAll(ctx context.Context, messages []Outgoing) error {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return fmt.Errorf("send %d messages: %w", len(messages), err)
	}
	defer conn.Close()
	if err := conn.Send("MULTI"); err != nil {
		return fmt.Errorf("send %d messages: %w", len(messages), err)
	}
	for i := 0; i < len(messages); {
		args := redis.Args{messages[i].List}
		list := messages[i].List
		for ; i < len(messages) && messages[i].List == list && len(args) < 1000; i++ {
			args = append(args, messages[i].Message)
		}
		if err := conn.Send("LPUSH", args...); err != nil {
			return fmt.Errorf("send %d messages: %w", len(messages), err)
		}
	}
	if _, err := redis.DoContext(conn, ctx, "EXEC"); err != nil {
		return fmt.Errorf("send %d messages: %w", len(messages), err)
	}
	return nil
}

// PrepareChord sets the size of a chord that is to be sent; this broker's server is that of the results.
func (b *Broker) PrepareChord(ctx context.Context, keys ChordKeys, size int, ttl time.Duration) error {
	effect := SetChordSize(keys, size, ttl)
	if _, err := b.eval(ctx, b.scripts.size, scriptArgs(effect)...); err != nil {
		return fmt.Errorf("set size of chord %s: %w", keys.Base, err)
	}
	return nil
}

// Set sets a key for ttl; 0: for ever.
func (b *Broker) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	args := []any{key, value}
	if ttl > 0 {
		args = append(args, "PX", ttl.Milliseconds())
	}
	if _, err := b.do(ctx, "SET", args...); err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	return nil
}

// Delete removes keys.
func (b *Broker) Delete(ctx context.Context, keys ...string) error {
	if _, err := b.do(ctx, "DEL", redis.Args{}.AddFlat(keys)...); err != nil {
		return fmt.Errorf("delete %v: %w", keys, err)
	}
	return nil
}

// Broadcast publishes a message to all who hear a fanout exchange.
func (b *Broker) Broadcast(ctx context.Context, exchange string, message []byte) error {
	if _, err := b.do(ctx, "PUBLISH", b.FanoutChannel(exchange), message); err != nil {
		return fmt.Errorf("broadcast to %s: %w", exchange, err)
	}
	return nil
}
