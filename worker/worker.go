package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
)

// Worker consumes queues and runs handlers. Register them with Handle before Run or Main.
type Worker struct {
	config Config
	broker *transport.Broker
	log    *zap.Logger

	mu       sync.RWMutex
	handlers map[string]*handler

	cold chan struct{} // closed by Terminate
	once sync.Once
}

// ErrRunning is returned by Run when the worker runs already or has been run: a Worker runs once.
var ErrRunning = errors.New("the worker has been run already")

// New makes a worker. It does not connect yet; a setting that cannot be meant is an error.
func New(config Config) (*Worker, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	broker, err := transport.New(config.transport())
	if err != nil {
		return nil, fmt.Errorf("configure worker: %w", err)
	}
	return &Worker{
		config:   config,
		broker:   broker,
		log:      config.Logger.With(zap.String("hostname", config.Hostname)),
		handlers: map[string]*handler{},
		cold:     make(chan struct{}),
	}, nil
}

// Main runs the worker until SIGTERM or SIGINT, as `celery worker` does: the first signal is a warm shutdown (give back what has not
// started, finish what has), a second one a cold shutdown (cancel the handlers and give their messages back). It returns nil after a
// warm shutdown, ErrColdShutdown after a cold one.
func (w *Worker) Main(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case s := <-signals:
			w.log.Info("warm shutdown; signal again to cancel what runs", zap.Stringer("signal", s))
			cancel()
		case <-done:
			return
		}
		select {
		case s := <-signals:
			w.log.Warn("cold shutdown", zap.Stringer("signal", s))
			w.Terminate()
		case <-done:
		}
	})
	err := w.Run(ctx)
	close(done)
	watcher.Wait()
	return err
}

// Terminate is the cold shutdown: the contexts of running handlers are cancelled with cause ErrColdShutdown, and the messages of those that
// did not finish go back to the head of their queues.
func (w *Worker) Terminate() { w.once.Do(func() { close(w.cold) }) }

// ErrColdShutdown is the cause with which a cold shutdown cancels handlers.
var ErrColdShutdown = errors.New("cold shutdown")

// Run consumes until ctx ends, then shuts down warm. While the broker is away it keeps trying, with growing pauses. When it finds that its lease
// was lost (it was paused too long and others restored its claims) it goes on under a new identity. Run returns when everything that it
// started has ended: nil after a warm shutdown, ErrColdShutdown after a cold one.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.handlers == nil {
		w.mu.Unlock()
		return ErrRunning
	}
	handlers := w.handlers
	w.handlers = nil
	w.mu.Unlock()
	defer w.broker.Close()

	w.log.Info("starting", zap.String("broker", w.broker.URL()), zap.Strings("queues", w.config.Queues),
		zap.Int("concurrency", w.config.Concurrency), zap.Int("tasks", len(handlers)))
	state := &brokerState{log: w.log}
	for ctx.Err() == nil {
		life, err := w.begin(ctx, handlers, state)
		if err != nil {
			if !state.wait(ctx, err) {
				break
			}
			continue
		}
		state.ok()
		if err := life.run(ctx); !errors.Is(err, transport.ErrLeaseLost) {
			w.log.Info("stopped", zap.Error(err))
			return err
		}
	}
	w.log.Info("stopped")
	return nil
}

// begin declares the queues and opens a session under a new worker id.
func (w *Worker) begin(ctx context.Context, handlers map[string]*handler, state *brokerState) (*life, error) {
	var bindings []transport.Binding
	for _, b := range w.config.Bindings {
		bindings = append(bindings, transport.Binding{Exchange: b.Exchange, RoutingKey: b.RoutingKey, Pattern: b.Pattern, Queue: b.Queue})
	}
	if err := w.broker.Declare(ctx, bindings); err != nil {
		return nil, err
	}
	session, err := w.broker.Open(ctx, newWorkerID(), w.config.Queues)
	if err != nil {
		return nil, err
	}
	w.log.Info("ready", zap.String("worker_id", session.ID()))
	return newLife(w, session, handlers, state), nil
}

// brokerState logs the broker's coming and going once per change, and paces the attempts to reach it.
type brokerState struct {
	log *zap.Logger

	mu       sync.Mutex
	down     bool
	since    time.Time
	failures int
	upSince  time.Time
}

func (s *brokerState) ok() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || s.upSince.IsZero() {
		s.upSince = time.Now()
	}
	if s.down {
		s.log.Info("broker is back", zap.Duration("away", time.Since(s.since)))
	}
	s.down, s.failures = false, 0
}

// steady tells whether the broker has answered without a break for d.
func (s *brokerState) steady(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.down && !s.upSince.IsZero() && time.Since(s.upSince) >= d
}

// failed notes a failure and returns how long to pause before the next attempt.
func (s *brokerState) failed(err error) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		s.down, s.since = true, time.Now()
		s.log.Warn("broker is away; trying until it is back", zap.Error(err))
	}
	s.failures++
	return backoff(s.failures)
}

// wait notes a failure and pauses; false means that ctx ended.
func (s *brokerState) wait(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	return sleep(ctx, s.failed(err))
}
