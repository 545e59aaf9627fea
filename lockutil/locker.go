package lockutil

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/transport"
)

// ErrHeld says that somebody else holds the key, and did so until the wait was over.
var ErrHeld = errors.New("lock is held by somebody else")

// ErrLost is the cause with which a held lock's context ends when its lease is gone: taken by others after a pause, broken by an operator, forgotten by Redis.
var ErrLost = errors.New("lock is lost")

// ErrUnavailable says that Redis could not be asked; whether the lock is free is not known.
var ErrUnavailable = errors.New("lock service is not available")

// Config says where locks are kept. The zero value works: the broker of CELERY_BROKER_URL, leases of 15 s.
type Config struct {
	// URL of the Redis: as a worker's BrokerURL. Default CELERY_BROKER_URL from the environment, then redis://localhost:6379/0.
	URL string
	// Prefix goes in front of every key. Default "lovage:lock:".
	Prefix string
	// TTL is how long a lease stands without being renewed; it is renewed three times in that span. Default 15 s.
	TTL time.Duration
	// Owner describes this process to people who list locks. Default <pid>@<host>.
	Owner string
	// Floor, when set, is asked for the greatest number that the database has seen (see Floor of this package) when Redis has lost its counter.
	Floor func(context.Context) (int64, error)
	// Observe, when set, is told of every acquire, release and loss, in the goroutine that did it.
	Observe func(Event)
}

// Event is something that happened to a lock.
type Event struct {
	// Key of the lock, Op what was tried ("acquire", "release", "renew"), Result how it went ("acquired", "held by others", "released", "lost", "error").
	Key, Op, Result string
	// Number of the lease, 0 when there is none.
	Number int64
	// Note is the request's.
	Note string
	// Waited is how long the caller waited, Held how long it held.
	Waited, Held time.Duration
	// Err is set for results "lost" and "error".
	Err error
}

// Locker takes locks in one Redis. It is safe for concurrent use.
type Locker struct {
	config  Config
	pool    *redis.Pool
	scripts struct{ acquire, renew, release, raise, breaks *redis.Script }
}

var (
	//go:embed acquire.lua
	acquireLua string
	//go:embed renew.lua
	renewLua string
	//go:embed release.lua
	releaseLua string
	//go:embed raise.lua
	raiseLua string
	//go:embed break.lua
	breakLua string
)

// New makes a Locker. It does not connect yet; a bad URL is an error.
func New(config Config) (*Locker, error) {
	if config.URL == "" {
		config.URL = os.Getenv("CELERY_BROKER_URL")
	}
	if config.Prefix == "" {
		config.Prefix = "lovage:lock:"
	}
	if config.TTL <= 0 {
		config.TTL = 15 * time.Second
	}
	if config.Owner == "" {
		host, _ := os.Hostname()
		config.Owner = fmt.Sprintf("%d@%s", os.Getpid(), host)
	}
	pool, err := transport.NewPool(config.URL, "lovage-locks")
	if err != nil {
		return nil, fmt.Errorf("make locker: %w", err)
	}
	l := &Locker{config: config, pool: pool}
	l.scripts.acquire = redis.NewScript(6, acquireLua)
	l.scripts.renew = redis.NewScript(2, renewLua)
	l.scripts.release = redis.NewScript(4, releaseLua)
	l.scripts.raise = redis.NewScript(1, raiseLua)
	l.scripts.breaks = redis.NewScript(3, breakLua)
	return l, nil
}

// Close ends the Locker's connections. Locks that are still held run out.
func (l *Locker) Close() error { return l.pool.Close() }

// TTL is how long a lease of this Locker stands without being renewed, unless a request says otherwise.
func (l *Locker) TTL() time.Duration { return l.config.TTL }

// Raise lifts the counter of numbers above one that the database has seen. Call it when CheckFence refuses a lease that was just taken, and take it again.
func (l *Locker) Raise(ctx context.Context, number int64) error {
	_, err := l.run(ctx, l.scripts.raise, l.fenceKey(), number)
	return err
}

func (l *Locker) key(name, part string) string { return l.config.Prefix + "{" + name + "}:" + part }
func (l *Locker) fenceKey() string             { return l.config.Prefix + "fence" }
func (l *Locker) namesKey() string             { return l.config.Prefix + "names" }
func (l *Locker) wakeKey(token string) string  { return l.config.Prefix + "wake:" + token }

// run runs a script on a pooled connection. A connection that turns out to be dead (Redis was restarted) is replaced by another: what the scripts do may be done twice.
func (l *Locker) run(ctx context.Context, script *redis.Script, keysAndArgs ...any) (any, error) {
	reply, dead, err := l.runOnce(ctx, script, keysAndArgs)
	for range l.pool.MaxIdle {
		if !dead || ctx.Err() != nil {
			break
		}
		reply, dead, err = l.runOnce(ctx, script, keysAndArgs)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return reply, nil
}

func (l *Locker) runOnce(ctx context.Context, script *redis.Script, keysAndArgs []any) (reply any, dead bool, err error) {
	conn, err := l.pool.GetContext(ctx)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	reply, err = script.DoContext(ctx, conn, keysAndArgs...)
	return reply, conn.Err() != nil, err
}

func (l *Locker) observe(e Event) {
	if l.config.Observe != nil {
		l.config.Observe(e)
	}
}
