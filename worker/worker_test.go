package worker_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// workerURL, when set, makes the test binary a worker: a process of its own that tests kill and stop.
const workerURL = "LOVAGE_TEST_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		os.Exit(workerProcess(url))
	}
	goleak.VerifyTestMain(m)
}

// workerProcess counts each run of the task "count" in the list ran:<id>.
func workerProcess(url string) int {
	w, err := worker.New(worker.Config{BrokerURL: url, Lease: 1500 * time.Millisecond, Concurrency: 4, VisibilityTimeout: 20 * time.Second, MaxDeliveries: 3})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = worker.Handle(w, "count", func(ctx context.Context, in struct {
		Name  string
		Sleep time.Duration `default:"0"`
		Die   bool          `default:"false"`
	}) (string, error) {
		conn, err := redis.DialURL(url)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if _, err := conn.Do("RPUSH", "ran:"+in.Name, os.Getpid()); err != nil {
			return "", err
		}
		if in.Die {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		select {
		case <-time.After(in.Sleep):
			return "done", nil
		case <-ctx.Done():
			_, _ = conn.Do("RPUSH", "cancelled:"+in.Name, fmt.Sprint(context.Cause(ctx)))
			return "", context.Cause(ctx)
		}
	})
	if err == nil {
		err = w.Main(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// startProcess runs a worker in a process of its own and waits until it is ready.
func startProcess(t *testing.T, server *testenv.RedisServer) *testenv.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerURL+"="+server.URL())
	p := testenv.Start(t, cmd)
	testenv.Eventually(t, 10*time.Second, "the worker process is ready", func() bool { return strings.Contains(p.Output(), `"ready"`) })
	return p
}

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

func newClient(t *testing.T, server *testenv.RedisServer) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BrokerURL: server.URL()})
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
