package lockutil

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Status is a lock as it is now.
type Status struct {
	Key     string   `json:"key"`
	Holders []Holder `json:"holders"`
	// Waiting is how many wait for it.
	Waiting int `json:"waiting"`
}

// Holder is one lease on a lock.
type Holder struct {
	// Token names the lease; Mode is "exclusive", "shared" or "semaphore".
	Token string `json:"token"`
	Mode  string `json:"mode"`
	// Owner is the process, Note what it said when it took the lock.
	Owner string `json:"owner"`
	Note  string `json:"note"`
	// Number is the lease's number. Since is when it was taken, by the counter: up to a minute late after Redis has changed servers.
	Number int64     `json:"number"`
	Since  time.Time `json:"since"`
	// Ends is when the lease runs out unless it is renewed.
	Ends time.Time `json:"ends"`
}

// List tells who holds which locks, in the order of their last use. Locks that nobody holds or waits for are left out, and forgotten.
func (l *Locker) List(ctx context.Context) ([]Status, error) {
	conn, err := l.pool.GetContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("list locks: %w: %w", ErrUnavailable, err)
	}
	defer conn.Close()
	names, err := redis.Strings(redis.DoContext(conn, ctx, "ZRANGE", l.namesKey(), 0, -1))
	if err != nil {
		return nil, fmt.Errorf("list locks: %w", err)
	}
	list := make([]Status, 0, len(names))
	for _, name := range names {
		status, err := l.status(ctx, conn, name)
		if err != nil {
			return nil, fmt.Errorf("look at lock %s: %w", name, err)
		}
		if len(status.Holders)+status.Waiting > 0 {
			list = append(list, status)
		} else if _, err := redis.DoContext(conn, ctx, "ZREM", l.namesKey(), name); err != nil {
			return nil, fmt.Errorf("forget lock %s: %w", name, err)
		}
	}
	return list, nil
}

func (l *Locker) status(ctx context.Context, conn redis.Conn, name string) (Status, error) {
	s := Status{Key: name}
	clock, err := redis.Int64s(redis.DoContext(conn, ctx, "TIME"))
	if err != nil {
		return s, err
	}
	now := clock[0]*1000 + clock[1]/1000
	ends, err := redis.Int64Map(redis.DoContext(conn, ctx, "ZRANGE", l.key(name, "holders"), 0, -1, "WITHSCORES"))
	if err != nil {
		return s, err
	}
	about, err := redis.StringMap(redis.DoContext(conn, ctx, "HGETALL", l.key(name, "about")))
	if err != nil {
		return s, err
	}
	for token, end := range ends {
		if end <= now {
			continue
		}
		h := Holder{Token: token, Mode: map[byte]string{'w': "exclusive", 'r': "shared", 's': "semaphore"}[token[0]], Ends: time.UnixMilli(end)}
		number, rest, _ := strings.Cut(about[token], " ")
		h.Owner, h.Note, _ = strings.Cut(rest, "\n")
		_, _ = fmt.Sscan(number, &h.Number)
		h.Since = time.UnixMicro(h.Number)
		s.Holders = append(s.Holders, h)
	}
	s.Waiting, err = redis.Int(redis.DoContext(conn, ctx, "ZCOUNT", l.key(name, "alive"), now, "+inf"))
	return s, err
}

// Break takes a lock away from its holders, and tells from whom. Their contexts end with ErrLost at their next renewal; what they write before that is refused by
// CheckFence once the next holder has written. Write down who did it and why before you call it.
func (l *Locker) Break(ctx context.Context, key string) ([]Holder, error) {
	conn, err := l.pool.GetContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("break lock %s: %w: %w", key, ErrUnavailable, err)
	}
	defer conn.Close()
	before, err := l.status(ctx, conn, key)
	if err != nil {
		return nil, fmt.Errorf("look at lock %s: %w", key, err)
	}
	reply, err := redis.Values(l.scripts.breaks.DoContext(ctx, conn, l.key(key, "holders"), l.key(key, "waiters"), l.key(key, "about"), ""))
	if err != nil {
		return nil, fmt.Errorf("break lock %s: %w", key, err)
	}
	if next, _ := redis.String(reply[1], nil); next != "" {
		l.wake(ctx, next)
	}
	return before.Holders, nil
}
