package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
	"golang.org/x/sync/singleflight"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// Cache reads and writes values. It is safe for concurrent use.
type Cache struct {
	pool  *redis.Pool
	group singleflight.Group
	// Foreign, when set, is told of values whose mode or run was not that of their key.
	Foreign func(Key)
}

// New makes a Cache on the Redis of the URL; "" is redis://localhost:6379/0. It does not connect yet.
func New(url string) (*Cache, error) {
	pool, err := transport.NewPool(url, "lovage-cache")
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &Cache{pool: pool}, nil
}

// Close ends the connections.
func (c *Cache) Close() error { return c.pool.Close() }

// envelope is a value in Redis.
type envelope struct {
	Mode        string          `json:"mode"`
	Run         string          `json:"run"`
	Generations []string        `json:"generations"`
	Value       json.RawMessage `json:"value"`
}

// check holds dimensions to the forms that messages are held to, so that no value can imitate another field of a key.
func check(values map[string]any) error {
	raw, err := protocol.Marshal(values)
	if err != nil {
		return err
	}
	members, err := raw.Members()
	if err != nil {
		return err
	}
	_, err = tasks.ParseDimensions(members, nil, tasks.DimensionRules{})
	return err
}

// Get stores the key's value in value. On a miss compute makes it, once at a time in this process and mostly in the fleet, and it is kept for ttl. With Redis away every read computes.
func (c *Cache) Get(ctx context.Context, key Key, ttl time.Duration, value any, compute func(context.Context) (any, error)) error {
	if key.text == "" {
		return ErrKey
	}
	raw, generations, err := c.read(ctx, key)
	if err == nil && raw != nil {
		return json.Unmarshal(raw, value)
	}
	reachable := err == nil
	made, err, _ := c.group.Do(key.text, func() (any, error) { return c.fill(ctx, key, ttl, generations, reachable, compute) })
	if err != nil {
		return fmt.Errorf("compute %s: %w", key, err)
	}
	return json.Unmarshal(made.(json.RawMessage), value)
}

// fill computes a value. Another process that is at it already is waited for, for a moment.
func (c *Cache) fill(ctx context.Context, key Key, ttl time.Duration, generations []string, reachable bool, compute func(context.Context) (any, error)) (any, error) {
	if reachable {
		for range 40 {
			mine, err := redis.String(c.do(ctx, "SET", key.text+"|filling", 1, "NX", "PX", 2000))
			if err != nil && !errors.Is(err, redis.ErrNil) || mine == "OK" {
				break
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			if raw, now, err := c.read(ctx, key); err == nil && raw != nil {
				return raw, nil
			} else if err == nil {
				generations = now
			}
		}
	}
	value, err := compute(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil || !reachable {
		return json.RawMessage(raw), err
	}
	// With the generations of before the computation: what was invalidated meanwhile stays invalid.
	_ = c.write(ctx, key, ttl, generations, raw)
	return json.RawMessage(raw), nil
}

// Set stores a value, as of now.
func (c *Cache) Set(ctx context.Context, key Key, ttl time.Duration, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("cache %s: %w", key, err)
	}
	_, generations, err := c.read(ctx, key)
	if err != nil {
		return err
	}
	return c.write(ctx, key, ttl, generations, raw)
}

func (c *Cache) write(ctx context.Context, key Key, ttl time.Duration, generations []string, raw json.RawMessage) error {
	text, err := json.Marshal(envelope{Mode: key.mode, Run: key.run, Generations: generations, Value: raw})
	if err == nil {
		_, err = c.do(ctx, "SET", key.text, text, "PX", max(1, ttl.Milliseconds()))
	}
	if err == nil {
		_, err = c.do(ctx, "DEL", key.text+"|filling")
	}
	if err != nil {
		return fmt.Errorf("cache %s: %w", key, err)
	}
	return nil
}

// read gives the value, nil for a miss, and the generations as they are, in one round trip.
func (c *Cache) read(ctx context.Context, key Key) (json.RawMessage, []string, error) {
	args := redis.Args{}.Add(key.text)
	for _, tag := range key.tags() {
		args = args.Add(tag.key())
	}
	reply, err := redis.ByteSlices(c.do(ctx, "MGET", args...))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", key, err)
	}
	generations := make([]string, 0, len(reply)-1)
	for _, g := range reply[1:] {
		generations = append(generations, string(g))
	}
	if reply[0] == nil {
		return nil, generations, nil
	}
	var e envelope
	if err := json.Unmarshal(reply[0], &e); err != nil || e.Mode != key.mode || e.Run != key.run {
		if c.Foreign != nil {
			c.Foreign(key)
		}
		_, err := c.do(ctx, "DEL", key.text)
		return nil, generations, err
	}
	for i, g := range generations {
		if i >= len(e.Generations) || e.Generations[i] != g {
			return nil, generations, nil
		}
	}
	return e.Value, generations, nil
}

// generationTTL is longer than values live: a generation that is forgotten is another one for the values that carry it, never the same.
const generationTTL = 30 * 24 * time.Hour

// Invalidate makes every value with one of the tags a miss.
func (c *Cache) Invalidate(ctx context.Context, tags ...Tag) error {
	for _, tag := range tags {
		generation := strconv.FormatInt(time.Now().UnixNano(), 36)
		if _, err := c.do(ctx, "SET", tag.key(), generation, "PX", generationTTL.Milliseconds()); err != nil {
			return fmt.Errorf("invalidate %s: %w", tag, err)
		}
	}
	return nil
}

// Channel is where switches of the active run are announced to whoever keeps something of his own: JSON of store.Invalidation. Compare versions: an announcement may come twice.
const Channel = "lovage:invalidations"

// Switched carries out the invalidation of a switch of the active run: for an outbox.Relay. It may be called twice for one switch.
func (c *Cache) Switched(ctx context.Context, note store.Invalidation) error {
	if note.From != "" {
		if err := c.Invalidate(ctx, Run(note.From)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(note)
	if err == nil {
		_, err = c.do(ctx, "PUBLISH", Channel, text)
	}
	if err != nil {
		return fmt.Errorf("announce the switch of %s: %w", note.Scope, err)
	}
	return nil
}

func (c *Cache) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}
