package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap/zaptest"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

const shared = 1000

// sendShared lets Python send tasks that note under ran:<n> who ran them.
const sendShared = `
import sys
from app import app
with app.connection_for_write() as connection:
    for n in range(int(sys.argv[1])):
        app.send_task("e2e.mark", (n,), queue="shared", connection=connection)
`

// TestAPythonAndALovageWorkerShareAQueue sends 1,000 tasks to a queue that both consume: each runs once, and both get some.
func TestAPythonAndALovageWorkerShareAQueue(t *testing.T) {
	for _, version := range []string{testenv.Celery57, testenv.Celery52, testenv.Celery44} {
		t.Run("celery "+version, func(t *testing.T) {
			s := startShared(t, version)
			testenv.Eventually(t, time.Minute, "all tasks have run", func() bool { return s.ran(t) >= shared })
			s.check(t)
		})
	}
}

// TestAPythonWorkerFinishesWhatAStoppedLovageWorkerGivesBack stops the Go worker in the middle.
func TestAPythonWorkerFinishesWhatAStoppedLovageWorkerGivesBack(t *testing.T) {
	s := startShared(t, testenv.Celery57)
	testenv.Eventually(t, time.Minute, "the Go worker has run some", func() bool { return s.server.Int("SCARD", "by:go") > 20 })
	if s.stop(); s.ran(t) >= shared {
		t.Error("nothing was left to be done when the Go worker had stopped")
	}
	testenv.Eventually(t, time.Minute, "all tasks have run", func() bool { return s.ran(t) >= shared })
	s.check(t)
}

type sharedQueue struct {
	server *testenv.RedisServer
	python *testenv.Venv
	folder string
	stop   func()
}

// startShared fills the queue, and starts a Python and a Go worker on it.
func startShared(t *testing.T, version string) *sharedQueue {
	t.Helper()
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s := &sharedQueue{server: testenv.Redis(t), python: testenv.Python(t, version), folder: folder}
	s.python.Run(folder, s.env(), sendShared, "-", fmt.Sprint(shared))
	s.python.CeleryWorker(folder, s.env(), "py", "-Q", "shared")
	w, err := worker.New(worker.Config{BrokerURL: s.server.URL(), Queues: []string{"shared"}, Concurrency: 1, Logger: zaptest.NewLogger(t, zaptest.Level(zapFatal))})
	if err != nil {
		t.Fatal(err)
	}
	pool := &redis.Pool{Dial: func() (redis.Conn, error) { return redis.Dial("tcp", s.server.Addr()) }}
	t.Cleanup(func() { _ = pool.Close() })
	err = worker.Handle(w, "e2e.mark", func(_ context.Context, in struct{ N int }) (string, error) {
		conn := pool.Get()
		defer conn.Close()
		time.Sleep(4 * time.Millisecond) // the task's work: long enough for Python to get its share
		_, err := conn.Do("SADD", "by:go", in.N)
		if err == nil {
			_, err = conn.Do("HINCRBY", "ran", in.N, 1)
		}
		return "go", err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

func (s *sharedQueue) env() []string { return []string{"BROKER=" + s.server.URL()} }

func (s *sharedQueue) ran(t *testing.T) int { t.Helper(); return s.server.Int("HLEN", "ran") }

// check waits until nothing is left to be delivered, and looks at how often each task has run, and who ran how many.
func (s *sharedQueue) check(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, "nothing is queued or unacknowledged", func() bool {
		return s.server.Int("LLEN", "shared") == 0 && s.server.Int("HLEN", "unacked") == 0
	})
	counts, err := redis.IntMap(s.server.Do("HGETALL", "ran"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n, times := range counts {
		if times != 1 {
			t.Errorf("task %s ran %d times", n, times)
		}
	}
	byGo, byPython := s.server.Int("SCARD", "by:go"), s.server.Int("SCARD", "by:python")
	if byGo == 0 || byPython == 0 || byGo+byPython != shared {
		t.Errorf("of %d tasks Go ran %d and Python %d", shared, byGo, byPython)
	}
	if stored := len(s.server.Strings("KEYS", "celery-task-meta-*")); stored != shared {
		t.Errorf("%d results are stored, not %d", stored, shared)
	}
	t.Logf("Go ran %d, Python %d", byGo, byPython)
}
