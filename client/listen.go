package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lovage-go/lovage/internal/transport"
)

// ErrClosed is what a wait for a result gets when the client is closed.
var ErrClosed = errors.New("the client is closed")

// errInterrupted says that the connection on which results were listened for is gone: what was published meanwhile must be looked up.
var errInterrupted = errors.New("the connection for results was interrupted")

// listener hears the channels of all results that somebody waits for on one connection. It connects when the first is waited for.
type listener struct {
	broker *transport.Broker

	mu      sync.Mutex
	conn    *transport.Listener
	waiters map[string]map[*waiter]bool
	closed  bool
	running sync.WaitGroup
}

// waiter waits for one channel. ready is closed when the channel is heard; news gets what is published, or a nil for a connection that broke.
type waiter struct {
	channel string
	ready   chan struct{}
	once    sync.Once
	news    chan []byte
}

func newListener(broker *transport.Broker) *listener {
	return &listener{broker: broker, waiters: map[string]map[*waiter]bool{}}
}

// add begins to listen for a channel, and returns when what is published from now on is heard.
func (l *listener) add(ctx context.Context, channel string) (*waiter, error) {
	w := &waiter{channel: channel, ready: make(chan struct{}), news: make(chan []byte, 1)}
	if err := l.enter(ctx, w); err != nil {
		return nil, err
	}
	select {
	case <-w.ready:
		return w, nil
	case <-w.news: // broken before it was heard
		l.remove(w)
		return nil, errInterrupted
	case <-ctx.Done():
		l.remove(w)
		return nil, ctx.Err()
	}
}

func (l *listener) enter(ctx context.Context, w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.conn == nil {
		conn, err := l.broker.NewListener(ctx)
		if err != nil {
			return err
		}
		l.conn = conn
		l.running.Go(func() { l.receive(conn) })
	}
	others := l.waiters[w.channel]
	if others == nil {
		others = map[*waiter]bool{}
		l.waiters[w.channel] = others
	}
	others[w] = true
	if err := l.conn.Listen(w.channel); err != nil { // once more for each waiter: every one gets a confirmation that is younger than itself
		delete(others, w)
		l.conn.Close()
		return fmt.Errorf("listen for %s: %w", w.channel, err)
	}
	return nil
}

func (l *listener) remove(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := l.waiters[w.channel]
	delete(others, w)
	if len(others) == 0 {
		delete(l.waiters, w.channel)
		if l.conn != nil {
			_ = l.conn.Unlisten(w.channel) // a broken connection shows in receive
		}
	}
}

// receive gives what is heard to those who wait for it, until the connection ends.
func (l *listener) receive(conn *transport.Listener) {
	for {
		heard, err := conn.Next()
		if err != nil {
			l.broken(conn)
			return
		}
		l.mu.Lock()
		for w := range l.waiters[heard.Channel] {
			if heard.Data == nil {
				w.once.Do(func() { close(w.ready) })
			} else {
				w.tell(heard.Data)
			}
		}
		l.mu.Unlock()
	}
}

// tell leaves the newest news.
func (w *waiter) tell(data []byte) {
	for {
		select {
		case w.news <- data:
			return
		default:
		}
		select {
		case <-w.news:
		default:
		}
	}
}

// broken wakes all who wait; they look what they have missed and wait again.
func (l *listener) broken(conn *transport.Listener) {
	conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		l.conn = nil
	}
	for _, others := range l.waiters {
		for w := range others {
			w.tell(nil)
		}
	}
	l.waiters = map[string]map[*waiter]bool{}
}

func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	if l.conn != nil {
		l.conn.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}
