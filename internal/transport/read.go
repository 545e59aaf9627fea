package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/gomodule/redigo/redis"
)

// Get reads a key; nil when it is not there.
func (b *Broker) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := redis.Bytes(b.do(ctx, "GET", key))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return data, nil
}

// Subscription is a connection that hears one channel.
type Subscription struct {
	conn redis.Conn
	pub  redis.PubSubConn
}

// Subscribe hears a channel from now on.
func (b *Broker) Subscribe(ctx context.Context, channel string) (*Subscription, error) {
	conn, err := b.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &Subscription{conn: conn, pub: redis.PubSubConn{Conn: conn}}
	if err := s.pub.Subscribe(channel); err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", channel, err)
	}
	if _, ok := s.pub.ReceiveWithTimeout(b.options.IOTimeout).(redis.Subscription); !ok {
		s.Close()
		return nil, fmt.Errorf("subscribe to %s: no confirmation", channel)
	}
	return s, nil
}

// Next waits for a message. An error other than ctx's means that the connection is of no more use: subscribe again, and look at what was missed.
func (s *Subscription) Next(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	if err, failed := s.pub.ReceiveWithTimeout(0).(error); failed {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// Close ends the subscription.
func (s *Subscription) Close() { _ = s.conn.Close() }
