package transport

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Binding ties a queue to an exchange, as kombu keeps it in the set _kombu.binding.<exchange>.
type Binding struct{ Exchange, RoutingKey, Pattern, Queue string }

// Declare records the bindings of queues, as a Python worker does when it starts: without them routing from Python through an exchange finds
// nothing on an empty Redis.
func (b *Broker) Declare(ctx context.Context, bindings []Binding) error {
	for _, binding := range bindings {
		member := strings.Join([]string{binding.RoutingKey, binding.Pattern, binding.Queue}, prioritySeparator)
		// kombu since 5.6 keeps a table whose permanent set lists a queue when it sweeps expired ones.
		for _, key := range []string{b.layout.binding(binding.Exchange), b.layout.permanentBinding(binding.Exchange)} {
			if _, err := b.do(ctx, "SADD", key, member); err != nil {
				return fmt.Errorf("declare queue %s: %w", binding.Queue, err)
			}
		}
	}
	return nil
}

// Send appends a message to the tail of a queue, in the list of its priority.
func (b *Broker) Send(ctx context.Context, queue string, priority int, message []byte) error {
	if _, err := b.do(ctx, "LPUSH", b.layout.Queue(queue, priority), message); err != nil {
		return fmt.Errorf("send to queue %s: %w", queue, err)
	}
	return nil
}

// FanoutChannel is the channel of a fanout exchange (kombu's keyprefix_fanout).
func (b *Broker) FanoutChannel(exchange string) string {
	return fmt.Sprintf("%s/%d.%s", b.layout.Prefix, b.dialer.database, exchange)
}

// Lengths tells how many messages wait in each queue, over all priority steps.
func (b *Broker) Lengths(ctx context.Context, queues []string) (map[string]int, error) {
	lengths := make(map[string]int, len(queues))
	for _, queue := range queues {
		for _, step := range b.layout.PrioritySteps {
			n, err := redis.Int(b.do(ctx, "LLEN", b.layout.queueStep(queue, step)))
			if err != nil {
				return nil, fmt.Errorf("length of queue %s: %w", queue, err)
			}
			lengths[queue] += n
		}
	}
	return lengths, nil
}

// Busy looks once, in one command, at everything that a wait on the plain lists does not see: the lists of the other priority steps, and
// the due-time sets. False means that none of them exists.
func (b *Broker) Busy(ctx context.Context, queues []string) (bool, error) {
	var keys redis.Args
	for _, queue := range queues {
		for _, step := range b.layout.PrioritySteps[1:] {
			keys = append(keys, b.layout.queueStep(queue, step))
		}
		keys = append(keys, b.layout.parked(queue))
	}
	n, err := redis.Int(b.do(ctx, "EXISTS", keys...))
	if err != nil {
		return false, fmt.Errorf("look at queues %s: %w", strings.Join(queues, ", "), err)
	}
	return n > 0, nil
}

// StepsInUse lists the priority steps above the first that hold messages in any of the queues.
func (b *Broker) StepsInUse(ctx context.Context, queue string) ([]int, error) {
	var steps []int
	for _, step := range b.layout.PrioritySteps[1:] {
		n, err := redis.Int(b.do(ctx, "EXISTS", b.layout.queueStep(queue, step)))
		if err != nil {
			return nil, fmt.Errorf("look at queue %s: %w", queue, err)
		}
		if n > 0 {
			steps = append(steps, step)
		}
	}
	sort.Ints(steps)
	return steps, nil
}

// NextDue tells when the earliest parked message of a queue is due; zero when none is parked.
func (b *Broker) NextDue(ctx context.Context, queue string) (time.Time, error) {
	reply, err := redis.Strings(b.do(ctx, "ZRANGE", b.layout.parked(queue), 0, 0, "WITHSCORES"))
	if err != nil {
		return time.Time{}, fmt.Errorf("look at parked messages of %s: %w", queue, err)
	}
	if len(reply) < 2 {
		return time.Time{}, nil
	}
	score, err := strconv.ParseFloat(reply[1], 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at parked messages of %s: %w", queue, err)
	}
	if _, err := b.now(ctx); err != nil {
		return time.Time{}, err
	}
	return b.localTime(score), nil
}
