package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a worker that a test has started.
type running struct {
	*worker.Worker
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

// stop is a warm shutdown; it returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	r.once.Do(func() { r.err = <-r.done })
	return r.err
}

// start runs a worker until the test ends or stop is called.
func start(t *testing.T, config worker.Config, register func(*worker.Worker)) *running {
	t.Helper()
	if config.Logger == nil {
		config.Logger = zaptest.NewLogger(t, zaptest.Level(zapcore.FatalLevel))
	}
	w, err := worker.New(config)
	if err != nil {
		t.Fatal(err)
	}
	register(w)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Worker: w, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- w.Run(ctx) }()
	t.Cleanup(func() { _ = r.stop() })
	return r
}

func handle[In, Out any](t *testing.T, w *worker.Worker, name string, fn func(context.Context, In) (Out, error)) {
	t.Helper()
	if err := worker.Handle(w, name, fn); err != nil {
		t.Fatal(err)
	}
}

func newClient(t *testing.T, redis *testenv.RedisServer) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BrokerURL: redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c *client.Client, task client.Task) *client.AsyncResult {
	t.Helper()
	result, err := c.Send(context.Background(), task)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func get[T any](t *testing.T, result *client.AsyncResult) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var value T
	if err := result.Get(ctx, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

var quiet = zap.NewNop()

func TestLateness(t *testing.T) {
	redis := testenv.Redis(t)
	start(t, worker.Config{BrokerURL: redis.URL()}, func(w *worker.Worker) {
		handle(t, w, "now", func(context.Context, struct{}) (int64, error) { return time.Now().UnixMicro(), nil })
	})
	c := newClient(t, redis)
	for i := range 30 {
		sent := time.Now()
		a := send(t, c, client.Task{Name: "now", Countdown: 200 * time.Millisecond})
		b := send(t, c, client.Task{Name: "now"})
		fmt.Println(i, time.UnixMicro(get[int64](t, b)).Sub(sent), time.UnixMicro(get[int64](t, a)).Sub(sent)-200*time.Millisecond)
	}
}
