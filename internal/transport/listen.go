package transport

import (
	"context"
	"fmt"

	"github.com/gomodule/redigo/redis"
)

// Listener is one connection that hears many channels. Listen and Unlisten may be called while another goroutine is in Next.
type Listener struct {
	conn redis.Conn
	pub  redis.PubSubConn
}

// Heard is what a Listener has heard: a message, or, when Data is nil, that a channel is heard from now on.
type Heard struct {
	Channel string
	Data    []byte
}

// NewListener opens a connection to the server of the results.
func (b *Broker) NewListener(ctx context.Context) (*Listener, error) {
	conn, err := b.dialer.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen for results: %w", err)
	}
	return &Listener{conn: conn, pub: redis.PubSubConn{Conn: conn}}, nil
}

// Listen adds a channel. Next tells when it is heard.
func (l *Listener) Listen(channel string) error { return l.pub.Subscribe(channel) }

// Unlisten drops a channel.
func (l *Listener) Unlisten(channel string) error { return l.pub.Unsubscribe(channel) }

// Next waits for the next message or confirmation. After an error the Listener is of no more use.
func (l *Listener) Next() (Heard, error) {
	for {
		switch event := l.pub.ReceiveWithTimeout(0).(type) {
		case redis.Message:
			return Heard{Channel: event.Channel, Data: event.Data}, nil
		case redis.Subscription:
			if event.Kind == "subscribe" {
				return Heard{Channel: event.Channel}, nil
			}
		case error:
			return Heard{}, event
		}
	}
}

// Close ends the connection, and a Next that waits on it.
func (l *Listener) Close() { _ = l.conn.Close() }
