package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"

	"github.com/lovage-go/lovage/protocol"
)

// mutexExpire is kombu's unacked_mutex_expire.
const mutexExpire = 300 * time.Second

// RestoreAbandoned restores entries of unacked that nobody has refreshed for the visibility timeout, to the head of their queues, under kombu's own
// mutex: what Python workers do for each other (kombu/transport/redis.py, restore_visible). edit marks the redelivery. It returns how many were restored; none when another
// consumer holds the mutex.
func (b *Broker) RestoreAbandoned(ctx context.Context, edit func(message []byte) []byte) (int, error) {
	token := strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err := redis.String(b.do(ctx, "SET", b.layout.unackedMutex(), token, "NX", "PX", mutexExpire.Milliseconds()))
	if errors.Is(err, redis.ErrNil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("take unacked_mutex: %w", err)
	}
	restored, err := b.restoreAbandoned(ctx, edit)
	if _, releaseErr := b.eval(ctx, b.scripts.unlock, 1, b.layout.unackedMutex(), token); releaseErr != nil {
		err = errors.Join(err, fmt.Errorf("release unacked_mutex: %w", releaseErr))
	}
	return restored, err
}

func (b *Broker) restoreAbandoned(ctx context.Context, edit func([]byte) []byte) (int, error) {
	restored := 0
	for ctx.Err() == nil {
		now, err := b.now(ctx)
		if err != nil {
			return restored, err
		}
		tags, err := redis.Strings(b.do(ctx, "ZRANGEBYSCORE", b.layout.unackedIndex(), 0, now-b.options.VisibilityTimeout.Seconds(), "LIMIT", 0, 100))
		if err != nil {
			return restored, fmt.Errorf("look for abandoned messages: %w", err)
		}
		if len(tags) == 0 {
			return restored, nil
		}
		n, err := b.restoreTags(ctx, tags, edit)
		restored += n
		if err != nil {
			return restored, fmt.Errorf("restore abandoned messages: %w", err)
		}
	}
	return restored, nil
}

func (b *Broker) restoreTags(ctx context.Context, tags []string, edit func([]byte) []byte) (int, error) {
	r := restorer{broker: b}
	for i := len(tags) - 1; i >= 0; i-- { // the oldest is pushed last and served first
		value, err := redis.Bytes(b.do(ctx, "HGET", b.layout.unacked(), tags[i]))
		if err != nil && !errors.Is(err, redis.ErrNil) {
			return r.restored, err
		}
		message, exchange, routingKey := splitKombu(value)
		if value != nil {
			message = edit(message)
		}
		queues, err := b.Route(ctx, exchange, routingKey)
		if err != nil {
			return r.restored, err
		}
		for _, queue := range queues[:min(1, len(queues))] {
			if err := r.add(ctx, tags[i], "", queue, message); err != nil {
				return r.restored, err
			}
		}
	}
	err := r.flush(ctx)
	return r.restored, err
}

// splitKombu takes apart an unacked value, kombu's or ours: [message, exchange, routing key].
func splitKombu(value []byte) (message []byte, exchange, routingKey string) {
	parts, err := protocol.Raw(value).Elements()
	if err != nil || len(parts) != 3 {
		message, queue := splitUnacked(value)
		return message, "", queue
	}
	exchange, _ = parts[1].Text()
	routingKey, _ = parts[2].Text()
	return parts[0], exchange, routingKey
}

// Route finds the queues of an exchange and routing key as kombu does: with exchange "" the routing key is the queue; else the bindings tell; if none matches, the
// routing key is taken for the queue so that nothing is dropped.
func (b *Broker) Route(ctx context.Context, exchange, routingKey string) ([]string, error) {
	if exchange == "" {
		return []string{routingKey}, nil
	}
	members, err := redis.Strings(b.do(ctx, "SMEMBERS", b.layout.binding(exchange)))
	if err != nil {
		return nil, fmt.Errorf("look up exchange %s: %w", exchange, err)
	}
	var queues []string
	for _, member := range members {
		parts := strings.Split(member, prioritySeparator)
		if len(parts) == 3 && (parts[0] == routingKey || topicMatches(parts[1], routingKey)) {
			queues = append(queues, parts[2])
		}
	}
	if len(queues) == 0 {
		queues = []string{routingKey}
	}
	return queues, nil
}
