package transport

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Options say where the broker is and how patient to be with it. The zero value is redis://localhost:6379/0 with kombu's layout.
type Options struct {
	// URL of the broker (broker_url); see parseURL for the schemes. Default redis://localhost:6379/0.
	URL string
	// Layout of the keys (broker_transport_options).
	Layout Layout
	// Name is sent as CLIENT SETNAME; default none.
	Name string
	// ConnectTimeout bounds one attempt to connect (socket_connect_timeout). Default 5 s.
	ConnectTimeout time.Duration
	// IOTimeout bounds one round trip that does not wait on purpose (socket_timeout). Default 10 s. Renewals of the lease wait for a third of the lease at most.
	IOTimeout time.Duration
	// Lease is how long a session stands without being renewed. Default 15 s.
	Lease time.Duration
	// VisibilityTimeout is the age at which an entry of unacked is restored by any consumer (visibility_timeout). Default 1 h.
	VisibilityTimeout time.Duration
	// ResultURL, when set, names where results are stored. On the same server a result is stored in the same step as its ack,
	// also in another database; on another server it is stored just before.
	ResultURL string
	// LargeMessage is the size in bytes above which a claimed message is not read whole. Default 128 MiB, 0 means the default.
	LargeMessage int
}

func (o Options) withDefaults() Options {
	if o.URL == "" {
		o.URL = "redis://localhost:6379/0"
	}
	o.Layout = o.Layout.withDefaults()
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.IOTimeout <= 0 {
		o.IOTimeout = 10 * time.Second
	}
	if o.Lease <= 0 {
		o.Lease = 15 * time.Second
	}
	if o.VisibilityTimeout <= 0 {
		o.VisibilityTimeout = time.Hour
	}
	if o.LargeMessage <= 0 {
		o.LargeMessage = 128 << 20
	}
	return o
}

// Broker is a Redis server used as kombu uses it. It holds connections and names, no identity; safe for concurrent use.
type Broker struct {
	options Options
	layout  Layout
	dialer  *dialer
	pool    *redis.Pool
	scripts scripts

	resultPool     *redis.Pool // only when results live on another server
	resultDatabase string      // only when they live in another database of this server
	readPool       *redis.Pool // where results are read: one of the pools above, or one for their database

	clock clock
}

type scripts struct{ claim, due, settle, fence, restore, result, unlock, exhume, part, grow, claimed, finish, size *redis.Script }

//go:embed claim.lua
var claimLua string

//go:embed due.lua
var dueLua string

//go:embed settle.lua
var settleLua string

//go:embed fence.lua
var fenceLua string

//go:embed restore.lua
var restoreLua string

//go:embed unlock.lua
var unlockLua string

//go:embed result.lua
var resultLua string

//go:embed chord.lua
var chordLua string

// New makes a Broker. It does not connect yet; a bad URL is an error that wraps ErrURL.
func New(options Options) (*Broker, error) {
	options = options.withDefaults()
	ep, err := parseURL(options.URL)
	if err != nil {
		return nil, err
	}
	b := &Broker{options: options, layout: options.Layout}
	b.dialer = &dialer{endpoint: ep, name: options.Name, connectTimeout: options.ConnectTimeout, ioTimeout: options.IOTimeout}
	b.pool = newPool(b.dialer)
	b.readPool = b.pool
	b.scripts = scripts{
		claim: redis.NewScript(-1, claimLua), due: redis.NewScript(-1, dueLua), settle: redis.NewScript(-1, chordLua+settleLua),
		fence: redis.NewScript(-1, fenceLua), restore: redis.NewScript(-1, restoreLua), result: redis.NewScript(-1, resultLua),
		unlock: redis.NewScript(-1, unlockLua), exhume: redis.NewScript(-1, exhumeLua),
		part:    redis.NewScript(-1, chordLua+"return chordpart(KEYS, 1) and 1 or 0"),
		grow:    redis.NewScript(-1, chordLua+"chordgrow(KEYS, ARGV[1]) return 1"),
		claimed: redis.NewScript(-1, chordLua+"return chordclaimed(KEYS, ARGV[1]) and 1 or 0"),
		finish:  redis.NewScript(-1, chordLua+"if chordclaimed(KEYS, ARGV[1]) then chorddone(KEYS, ARGV[2]) end return 1"),
		size:    redis.NewScript(-1, chordLua+"chordsize(KEYS, ARGV[1], ARGV[2]) return 1"),
	}
	if options.ResultURL != "" {
		if err := b.placeResults(ep, options); err != nil {
			return nil, fmt.Errorf("result backend: %w", err)
		}
	}
	return b, nil
}

// placeResults decides whether results can be stored in the settle step (same server) or need a connection of their own.
func (b *Broker) placeResults(broker endpoint, options Options) error {
	ep, err := parseURL(options.ResultURL)
	if err != nil {
		return err
	}
	if ep.network == broker.network && ep.addresses[0] == broker.addresses[0] && ep.master == broker.master {
		if ep.database != broker.database {
			b.resultDatabase = fmt.Sprint(ep.database)
			b.readPool = newPool(&dialer{endpoint: ep, name: options.Name, connectTimeout: options.ConnectTimeout, ioTimeout: options.IOTimeout})
		}
		return nil
	}
	d := &dialer{endpoint: ep, name: options.Name, connectTimeout: options.ConnectTimeout, ioTimeout: options.IOTimeout}
	b.resultPool = newPool(d)
	b.readPool = b.resultPool
	return nil
}

// newPool makes a pool in which a connection that fails takes its idle sisters with it: when one has gone silent (half-open, after a partition) so have they, and waiting for
// the timeout of each in turn would outlast the lease.
func newPool(d *dialer) *redis.Pool {
	return &redis.Pool{
		MaxIdle:     8,
		IdleTimeout: 4 * time.Minute,
		DialContext: d.dial,
		TestOnBorrow: func(_ redis.Conn, lastUsed time.Time) error {
			if d.failed.after(lastUsed) {
				return errStale
			}
			return nil
		},
	}
}

// errStale keeps an idle connection from being used again.
var errStale = errors.New("another connection has failed since this one was used")

// Close ends all pooled connections.
func (b *Broker) Close() error {
	err := b.pool.Close()
	if b.readPool != b.pool {
		err = errors.Join(err, b.readPool.Close())
	}
	return err
}

// Layout tells the names of the keys in use.
func (b *Broker) Layout() Layout { return b.layout }

// Lease tells how long a session stands without renewal.
func (b *Broker) Lease() time.Duration { return b.options.Lease }

// VisibilityTimeout tells the age at which unacked messages are restored.
func (b *Broker) VisibilityTimeout() time.Duration { return b.options.VisibilityTimeout }

// URL is the broker's URL without its password.
func (b *Broker) URL() string { return RedactURL(b.options.URL) }

// do runs one command on a pooled connection.
func (b *Broker) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}

// eval runs a script on a pooled connection; a server that does not know it yet is sent its text.
func (b *Broker) eval(ctx context.Context, script *redis.Script, keysAndArgs ...any) (any, error) {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return script.DoContext(ctx, conn, keysAndArgs...)
}

// Ping checks that the broker answers.
func (b *Broker) Ping(ctx context.Context) error {
	if _, err := b.do(ctx, "PING"); err != nil {
		return fmt.Errorf("ping %s: %w", b.URL(), err)
	}
	return nil
}

// clock tells Redis' time without asking for it each time: one TIME a minute, the monotonic clock in between. Monotonic time stands still
// while a machine sleeps, so after a suspend the clock is behind, and a lease made from it is short, never long.
type clock struct {
	mu    sync.Mutex
	base  float64
	taken time.Time
}

func (b *Broker) now(ctx context.Context) (float64, error) {
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	if since := time.Since(b.clock.taken); !b.clock.taken.IsZero() && since < time.Minute {
		return b.clock.base + since.Seconds(), nil
	}
	parts, err := redis.Int64s(b.do(ctx, "TIME"))
	if err != nil || len(parts) != 2 {
		return 0, fmt.Errorf("ask Redis for the time: %w", err)
	}
	b.clock.base, b.clock.taken = float64(parts[0])+float64(parts[1])/1e6, time.Now()
	return b.clock.base, nil
}

// forgetClock makes the next now ask again: after a reconnect it may be another server.
func (b *Broker) forgetClock() {
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	b.clock.taken = time.Time{}
}

// Score writes a time as Python's time.time() would: float seconds.
func Score(t time.Time) float64 {
	return math.Round(float64(t.UnixMicro())) / 1e6
}

// localTime turns a time of Redis' clock into one of this machine's, so that timers fire when Redis says that it is time.
func (b *Broker) localTime(score float64) time.Time {
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	if b.clock.taken.IsZero() {
		return time.UnixMicro(int64(score * 1e6))
	}
	return b.clock.taken.Add(time.Duration((score - b.clock.base) * float64(time.Second)))
}
