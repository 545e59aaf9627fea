package outbox

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
)

// Config says where messages come from and go to.
type Config struct {
	Store *store.Store
	// BrokerURL (broker_url). Default CELERY_BROKER_URL from the environment, then redis://localhost:6379/0. KeyPrefix is the transport option global_keyprefix.
	BrokerURL, KeyPrefix string
	// Every is how often the table is looked at. Default 100 ms.
	Every time.Duration
	// Keep is how long sent entries stay in the table. Default 24 h.
	Keep time.Duration
	// Invalidate carries out the invalidations of prediction runs: cache.Cache's Switched. nil: they are marked as sent.
	Invalidate func(context.Context, store.Invalidation) error
	// Logger is told what goes wrong. Default none.
	Logger *zap.Logger
}

// Relay sends the outbox.
type Relay struct {
	config Config
	layout transport.Layout
	broker *transport.Broker
	pool   *redis.Pool
	push   *redis.Script
	log    *zap.Logger
	origin string
	known  map[string]bool // declared queues
}

//go:embed push.lua
var pushLua string

// batch is how many entries are sent in one transaction.
const batch = 500

// New makes a Relay. It does not connect yet.
func New(config Config) (*Relay, error) {
	if config.Store == nil {
		return nil, errors.New("make relay: it needs a Store")
	}
	if config.BrokerURL == "" {
		config.BrokerURL = os.Getenv("CELERY_BROKER_URL")
	}
	if config.Every <= 0 {
		config.Every = 100 * time.Millisecond
	}
	if config.Keep <= 0 {
		config.Keep = 24 * time.Hour
	}
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	broker, err := transport.New(transport.Options{URL: config.BrokerURL, Layout: transport.Layout{Prefix: config.KeyPrefix}})
	if err != nil {
		return nil, fmt.Errorf("make relay: %w", err)
	}
	pool, err := transport.NewPool(config.BrokerURL, "lovage-relay")
	if err != nil {
		return nil, fmt.Errorf("make relay: %w", err)
	}
	host, _ := os.Hostname()
	return &Relay{config: config, broker: broker, layout: broker.Layout(), pool: pool, push: redis.NewScript(2, pushLua), log: config.Logger,
		origin: fmt.Sprintf("gen%d@%s", os.Getpid(), host), known: map[string]bool{}}, nil
}

// Run sends until ctx ends. Redis or the database away is waited for.
func (r *Relay) Run(ctx context.Context) error {
	defer func() { _ = errors.Join(r.pool.Close(), r.broker.Close()) }()
	pruned := time.Time{}
	failing := false
	for {
		n, err := r.Once(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			r.log.Warn("the outbox cannot be sent; trying until it can", zap.Error(err))
		}
		failing = err != nil
		if err == nil && time.Since(pruned) > time.Hour {
			pruned = time.Now()
			if err := store.PruneOutbox(ctx, r.config.Store.DB, r.config.Keep); err != nil && ctx.Err() == nil {
				r.log.Warn("cannot prune the outbox", zap.Error(err))
			}
		}
		if n == batch {
			continue
		}
		select {
		case <-time.After(r.config.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

// Once sends what waits, up to a batch, and tells how many that were. While another relay is at it that is none.
func (r *Relay) Once(ctx context.Context) (n int, err error) {
	err = lockutil.InTx(ctx, r.config.Store.DB.DB, lockutil.TxOptions{}, func(tx *sql.Tx) error {
		n = 0
		if err := lockutil.TryAdvisoryTx(ctx, tx, "lovage.outbox"); errors.Is(err, lockutil.ErrHeld) {
			return nil
		} else if err != nil {
			return err
		}
		waiting, err := store.Waiting(ctx, tx, batch)
		if err != nil {
			return err
		}
		for _, m := range waiting {
			var unsendable *unsendableError
			err := r.send(ctx, m)
			if err != nil && !errors.As(err, &unsendable) {
				if n > 0 { // what has been sent is to be marked; the rest is tried again
					r.log.Warn("the outbox is sent in part", zap.Error(err))
					return nil
				}
				return err
			}
			if err != nil {
				r.log.Error("an outbox entry can never be sent", zap.Int64("seq", m.Seq), zap.Error(err))
			}
			if err := store.MarkSent(ctx, tx, m.Seq, err); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// unsendableError says that an entry is wrong in itself.
type unsendableError struct{ err error }

func (u *unsendableError) Error() string { return u.err.Error() }
func (u *unsendableError) Unwrap() error { return u.err }

func (r *Relay) send(ctx context.Context, m store.Message) error {
	if m.Topic == "invalidate" {
		var note store.Invalidation
		if err := json.Unmarshal(m.Payload, &note); err != nil {
			return &unsendableError{fmt.Errorf("invalidation: %w", err)}
		}
		if r.config.Invalidate == nil {
			return nil
		}
		return r.config.Invalidate(ctx, note)
	}
	text, err := r.message(m)
	if err != nil {
		return &unsendableError{fmt.Errorf("task %s: %w", m.Task, err)}
	}
	if !r.known[m.Queue] {
		if err := r.broker.Declare(ctx, []transport.Binding{{Exchange: m.Queue, RoutingKey: m.Queue, Queue: m.Queue}}); err != nil {
			return err
		}
		r.known[m.Queue] = true
	}
	conn, err := r.pool.GetContext(ctx)
	if err != nil {
		return fmt.Errorf("send task %s: %w", m.Task, err)
	}
	defer conn.Close()
	_, err = r.push.DoContext(ctx, conn, r.layout.Prefix+"lovage:sent:"+m.ID, r.layout.Queue(m.Queue, m.Priority), text, (24 * time.Hour).Milliseconds())
	if err != nil {
		return fmt.Errorf("send task %s: %w", m.Task, err)
	}
	return nil
}

// message is the entry as Celery's send_task would have written it.
func (r *Relay) message(m store.Message) ([]byte, error) {
	args, err := protocol.Raw(m.Args).Elements()
	if err != nil {
		return nil, fmt.Errorf("args: %w", err)
	}
	kwargs, err := protocol.Raw(m.Kwargs).Members()
	if err != nil {
		return nil, fmt.Errorf("kwargs: %w", err)
	}
	headers, err := protocol.Raw(m.Headers).Members()
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	sent, err := protocol.Marshal(float64(time.Now().UnixMicro()) / 1e6)
	if err != nil {
		return nil, err
	}
	task := protocol.TaskMessage{
		ID: m.ID, Name: m.Task, Args: args, Kwargs: kwargs, Headers: headers.Set("lovage_sent_at", sent), ETA: m.ETA.Time, Expires: m.Expires.Time, Origin: r.origin,
		ReplyTo: uuid.NewString(), RoutingKey: m.Queue, Priority: m.Priority, DeliveryTag: uuid.NewString(),
	}
	message, err := task.Message()
	if err != nil {
		return nil, err
	}
	return message.AppendJSON(nil), nil
}
