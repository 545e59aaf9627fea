package storm

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/transport"
)

// Order is what people have said about a task.
type Order struct {
	Task string `json:"task"`
	// Paused tells that no message of the task is run.
	Paused bool `json:"paused"`
	// PerMinute is how many messages of the task are begun a minute in the whole fleet; 0: no bound.
	PerMinute int `json:"per_minute"`
	// Who, Why and At explain it.
	Who string    `json:"who"`
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

// Control gives orders about tasks and obeys them. It is safe for concurrent use.
type Control struct {
	pool *redis.Pool
	gate *redis.Script

	mu    sync.Mutex
	known map[string]Order
	asked time.Time
}

//go:embed gate.lua
var gateLua string

// ordersKey is where the orders are; they are few.
const ordersKey = "lovage:tasks:orders"

// New makes a Control on the Redis of the URL; "" is redis://localhost:6379/0. It does not connect yet.
func New(url string) (*Control, error) {
	pool, err := transport.NewPool(url, "lovage-storm")
	if err != nil {
		return nil, fmt.Errorf("make storm control: %w", err)
	}
	return &Control{pool: pool, gate: redis.NewScript(2, gateLua)}, nil
}

// Close ends the connections.
func (c *Control) Close() error { return c.pool.Close() }

// Give gives an order about a task, instead of the one before. Write it into the audit first.
func (c *Control) Give(ctx context.Context, order Order) error {
	order.At = time.Now().UTC()
	text, err := json.Marshal(order)
	if err == nil {
		_, err = c.do(ctx, "HSET", ordersKey, order.Task, text)
	}
	if err != nil {
		return fmt.Errorf("give an order about %s: %w", order.Task, err)
	}
	return nil
}

// Orders reads all orders.
func (c *Control) Orders(ctx context.Context) (map[string]Order, error) {
	raw, err := redis.StringMap(c.do(ctx, "HGETALL", ordersKey))
	if err != nil {
		return nil, fmt.Errorf("read the orders about tasks: %w", err)
	}
	orders := make(map[string]Order, len(raw))
	for task, text := range raw {
		var order Order
		if err := json.Unmarshal([]byte(text), &order); err != nil {
			return nil, fmt.Errorf("read the order about %s: %w", task, err)
		}
		orders[task] = order
	}
	return orders, nil
}

// order is the one about a task, at most a second old. With Redis away the last ones known stand.
func (c *Control) order(ctx context.Context, task string) Order {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) > time.Second {
		if orders, err := c.Orders(ctx); err == nil {
			c.known = orders
		}
		c.asked = time.Now()
	}
	return c.known[task]
}

// Dedupe notes that a message of the key is queued, for the length of the window. When one was before, its id is returned and first is false: do not send another.
func (c *Control) Dedupe(ctx context.Context, task, key, id string, window time.Duration) (queued string, first bool, err error) {
	name := "lovage:tasks:queued:" + task + ":" + key
	for range 2 {
		got, err := redis.String(c.do(ctx, "SET", name, id, "NX", "PX", max(1, window.Milliseconds())))
		if err == nil && got == "OK" {
			return id, true, nil
		}
		if err != nil && !errors.Is(err, redis.ErrNil) {
			return "", false, fmt.Errorf("look whether %s %s is queued: %w", task, key, err)
		}
		earlier, err := redis.String(c.do(ctx, "GET", name))
		if err == nil {
			return earlier, false, nil
		}
		if !errors.Is(err, redis.ErrNil) {
			return "", false, fmt.Errorf("look whether %s %s is queued: %w", task, key, err)
		}
	}
	return id, true, nil // the window ended in between
}

func (c *Control) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}
