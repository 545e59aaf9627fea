package worker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// empty tells that nothing waits and nothing is held.
func empty(server *testenv.RedisServer) bool {
	return server.Int("LLEN", "celery") == 0 && server.Int("HLEN", "unacked") == 0 && server.Int("ZCARD", "unacked_index") == 0
}

func TestStoppedUnderLoadTwentyTimesNothingIsLostOrDoubled(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	const tasks = 3000
	var ran [tasks]atomic.Int32
	register := func(w *worker.Worker) {
		handle(t, w, "count", func(_ context.Context, in struct{ N int }) (int, error) {
			ran[in.N].Add(1)
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond) // a handler's work
			return in.N, nil
		})
	}
	for n := range tasks {
		send(t, c, client.Task{Name: "count", Args: []any{n}, IgnoreResult: n%2 == 0})
	}
	for range 20 {
		before := server.Int("LLEN", "celery")
		w := start(t, worker.Config{BrokerURL: server.URL(), Concurrency: 8}, register)
		testenv.Eventually(t, 10*time.Second, "the worker works", func() bool { return before == 0 || server.Int("LLEN", "celery") < before })
		if err := w.stop(); err != nil {
			t.Fatalf("a warm shutdown returned %v", err)
		}
		if held := server.Int("HLEN", "unacked"); held != 0 {
			t.Fatalf("a stopped worker left %d claims", held)
		}
	}
	w := start(t, worker.Config{BrokerURL: server.URL(), Concurrency: 8}, register)
	testenv.Eventually(t, 30*time.Second, "everything has run", func() bool { return empty(server) })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	for n := range ran {
		if got := ran[n].Load(); got != 1 {
			t.Errorf("task %d ran %d times", n, got)
		}
	}
}

func TestAWarmShutdownFinishesWhatRunsAndGivesBackTheRestInOrder(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	began, finish := make(chan int, 10), make(chan struct{})
	w := start(t, worker.Config{BrokerURL: server.URL(), Concurrency: 1}, func(w *worker.Worker) {
		handle(t, w, "hold", func(_ context.Context, in struct{ N int }) (int, error) {
			began <- in.N
			<-finish
			return in.N, nil
		})
	})
	first := send(t, c, client.Task{Name: "hold", Args: []any{0}})
	<-began
	for n := 1; n < 5; n++ {
		send(t, c, client.Task{Name: "hold", Args: []any{n}})
	}
	w.cancel()
	testenv.Eventually(t, 5*time.Second, "only the running task is held", func() bool { return server.Int("HLEN", "unacked") == 1 && server.Int("LLEN", "celery") == 4 })
	close(finish)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if got := get[int](t, first); got != 0 {
		t.Errorf("the running task gave %d", got)
	}
	var order []int
	second := start(t, worker.Config{BrokerURL: server.URL(), Concurrency: 1}, func(w *worker.Worker) {
		handle(t, w, "hold", func(_ context.Context, in struct{ N int }) (int, error) {
			order = append(order, in.N)
			return in.N, nil
		})
	})
	testenv.Eventually(t, 5*time.Second, "the rest has run", func() bool { return empty(server) })
	_ = second.stop()
	if fmt.Sprint(order) != "[1 2 3 4]" {
		t.Errorf("the given-back tasks ran in the order %v", order)
	}
}

func TestAColdShutdownCancelsAndGivesBack(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	began, cause := make(chan struct{}), make(chan error, 1)
	w := start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "hold", func(ctx context.Context, _ struct{}) (int, error) {
			close(began)
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return 0, ctx.Err()
		})
	})
	send(t, c, client.Task{Name: "hold", ID: "held"})
	<-began
	before := server.Strings("HVALS", "unacked")
	w.cancel()
	w.Terminate()
	if err := w.stop(); err != worker.ErrColdShutdown {
		t.Errorf("Run returned %v", err)
	}
	if got := <-cause; got != worker.ErrColdShutdown {
		t.Errorf("the handler was cancelled with %v", got)
	}
	queue := server.Strings("LRANGE", "celery", 0, -1)
	if len(queue) != 1 || len(before) != 1 || before[0] != "["+queue[0]+`,"","celery"]` {
		t.Errorf("the message was not given back as it was:\n%v\n%v", before, queue)
	}
	if server.Int("EXISTS", "celery-task-meta-held") != 0 {
		t.Error("a task that was given back has a result")
	}
}

func TestTheDrainTimeoutGivesBackWhatStillRuns(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	began := make(chan struct{})
	w := start(t, worker.Config{BrokerURL: server.URL(), DrainTimeout: 50 * time.Millisecond}, func(w *worker.Worker) {
		handle(t, w, "hold", func(ctx context.Context, _ struct{}) (int, error) {
			close(began)
			<-ctx.Done()
			return 0, ctx.Err()
		})
	})
	send(t, c, client.Task{Name: "hold"})
	<-began
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if n := server.Int("LLEN", "celery"); n != 1 {
		t.Errorf("%d messages are back on the queue", n)
	}
}

func TestAColdShutdownDoesNotWaitForHandlersThatIgnoreIt(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	began, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	w := start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "deaf", func(context.Context, struct{}) (int, error) {
			close(began)
			<-release
			return 0, nil
		})
	})
	send(t, c, client.Task{Name: "deaf"})
	<-began
	w.cancel()
	w.Terminate()
	if err := w.stop(); err != worker.ErrColdShutdown {
		t.Errorf("Run returned %v", err)
	}
	if n := server.Int("LLEN", "celery"); n != 1 {
		t.Errorf("%d messages are back on the queue", n)
	}
}

func TestAColdShutdownEndsWhileTheBrokerIsAway(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	began, release := make(chan struct{}), make(chan struct{})
	w := start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "hold", func(context.Context, struct{}) (int, error) {
			close(began)
			<-release
			return 0, nil
		})
	})
	send(t, c, client.Task{Name: "hold"})
	<-began
	server.Kill()
	close(release)
	w.cancel()
	w.Terminate()
	if err := w.stop(); err != worker.ErrColdShutdown {
		t.Errorf("Run returned %v", err)
	}
}
