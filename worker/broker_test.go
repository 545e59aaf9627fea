package worker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func registerDouble(t *testing.T) func(*worker.Worker) {
	return func(w *worker.Worker) {
		handle(t, w, "double", func(_ context.Context, in struct{ N int }) (int, error) { return 2 * in.N, nil })
	}
}

// roundTrip sends a task and reads its result with the given client configuration.
func roundTrip(t *testing.T, config client.Config, task client.Task) {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	task.Name, task.Args = "double", []any{21}
	if got := get[int](t, send(t, c, task)); got != 42 {
		t.Errorf("the result is %d", got)
	}
}

func TestEveryKindOfBrokerURLWorks(t *testing.T) {
	plain := testenv.Redis(t)
	secure, files := testenv.RedisTLS(t)
	guarded := testenv.Redis(t, "--requirepass", "s3cret/@:")
	user := testenv.Redis(t)
	user.Do("ACL", "SETUSER", "worker", "on", ">pw", "~*", "&*", "+@all")
	for name, url := range map[string]string{
		"database":      fmt.Sprintf("redis://%s/7", plain.Addr()),
		"unix socket":   "redis+socket://" + plain.Socket() + "?virtual_host=3",
		"password":      fmt.Sprintf("redis://:s3cret%%2F%%40%%3A@%s/0", guarded.Addr()),
		"user":          fmt.Sprintf("redis://worker:pw@%s/0", user.Addr()),
		"TLS":           fmt.Sprintf("rediss://%s/0?ssl_ca_certs=%s&ssl_certfile=%s&ssl_keyfile=%s", secure.TLSAddr(), files.CA, files.Cert, files.Key),
		"TLS unchecked": fmt.Sprintf("rediss://%s/0?ssl_cert_reqs=none&ssl_certfile=%s&ssl_keyfile=%s", secure.TLSAddr(), files.Cert, files.Key),
	} {
		t.Run(name, func(t *testing.T) {
			start(t, worker.Config{BrokerURL: url}, registerDouble(t))
			roundTrip(t, client.Config{BrokerURL: url}, client.Task{})
		})
	}
}

func TestPrefixesChangedKeysAndSteps(t *testing.T) {
	server := testenv.Redis(t)
	start(t, worker.Config{
		BrokerURL: server.URL(), KeyPrefix: "app:", ResultKeyPrefix: "res:", UnackedKey: "u", UnackedIndexKey: "ui", UnackedMutexKey: "um",
	}, func(w *worker.Worker) {
		handle(t, w, "double", func(_ context.Context, in struct{ N int }) (int, error) {
			if server.Int("HLEN", "app:u") != 1 || server.Int("ZCARD", "app:ui") != 1 {
				return 0, tasks.Raise("RuntimeError", fmt.Sprint(server.Strings("KEYS", "*")))
			}
			return 2 * in.N, nil
		})
	})
	roundTrip(t, client.Config{BrokerURL: server.URL(), KeyPrefix: "app:", ResultKeyPrefix: "res:"}, client.Task{Priority: 4})
	for _, key := range server.Strings("KEYS", "*") {
		if key[:4] != "app:" && key[:4] != "res:" {
			t.Errorf("key %q has no prefix", key)
		}
	}
}

func TestResultsInAnotherDatabaseOrOnAnotherServer(t *testing.T) {
	server, other := testenv.Redis(t), testenv.Redis(t)
	for name, backend := range map[string]string{
		"database": fmt.Sprintf("redis://%s/5", server.Addr()), "server": other.URL(),
	} {
		t.Run(name, func(t *testing.T) {
			start(t, worker.Config{BrokerURL: server.URL(), ResultBackend: backend}, registerDouble(t))
			roundTrip(t, client.Config{BrokerURL: server.URL(), ResultBackend: backend}, client.Task{})
			if keys := server.Strings("KEYS", "celery-task-meta-*"); len(keys) != 0 {
				t.Errorf("results in the broker's database: %v", keys)
			}
		})
	}
}

func TestLowerNumbersAreServedFirstAndQueuesTakeTurns(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	for _, priority := range []int{9, 6, 3, 0} {
		for _, queue := range []string{"a", "b"} {
			send(t, c, client.Task{Name: "note", Args: []any{fmt.Sprintf("%s%d", queue, priority)}, Queue: queue, Priority: priority})
		}
	}
	order := make(chan string, 8)
	start(t, worker.Config{BrokerURL: server.URL(), Queues: []string{"a", "b"}, Concurrency: 1, Prefetch: -1}, func(w *worker.Worker) {
		handle(t, w, "note", func(_ context.Context, in struct{ Name string }) (int, error) { order <- in.Name; return 0, nil })
	})
	for _, priority := range []string{"0", "3", "6", "9"} {
		first, second := <-order, <-order
		if first[1:] != priority || second[1:] != priority || first == second {
			t.Errorf("with priority %s ran %s and %s", priority, first, second)
		}
	}
}

func TestAHighPriorityStepWakesAnIdleWorker(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL()}, registerDouble(t))
	roundTrip(t, client.Config{BrokerURL: server.URL()}, client.Task{}) // it is idle now
	for range 2 {
		result := send(t, c, client.Task{Name: "double", Args: []any{1}, Priority: 9})
		if got := get[int](t, result); got != 2 {
			t.Errorf("the result is %d", got)
		}
	}
}

func TestEarlyAckAcknowledgesBeforeTheRun(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		err := worker.Handle(w, "early", func(context.Context, struct{}) (int, error) { return server.Int("HLEN", "unacked"), nil }, tasks.AcksLate(false))
		if err != nil {
			t.Fatal(err)
		}
		handle(t, w, "late", func(context.Context, struct{}) (int, error) { return server.Int("HLEN", "unacked"), nil })
	})
	if held := get[int](t, send(t, c, client.Task{Name: "early"})); held != 0 {
		t.Errorf("%d claims while an early task runs", held)
	}
	if held := get[int](t, send(t, c, client.Task{Name: "late"})); held != 1 {
		t.Errorf("%d claims while a late task runs", held)
	}
}

func TestTrackStartedAndExtendedResults(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	hold := make(chan struct{})
	finish := sync.OnceFunc(func() { close(hold) })
	start(t, worker.Config{BrokerURL: server.URL(), TrackStarted: true, ResultExtended: true, Hostname: "me@here"}, func(w *worker.Worker) {
		handle(t, w, "hold", func(context.Context, struct{ X int }) (int, error) { <-hold; return 5, nil })
	})
	t.Cleanup(finish)
	result := send(t, c, client.Task{Name: "hold", Kwargs: map[string]any{"x": 1}})
	testenv.Eventually(t, 5*time.Second, "it is STARTED", func() bool {
		meta, err := result.Meta(context.Background())
		return err == nil && meta.Status == "STARTED" && meta.DateDone.IsZero()
	})
	finish()
	_ = get[int](t, result)
	meta, err := result.Meta(context.Background())
	if err != nil || meta.Extended == nil || meta.Extended.Name != "hold" || meta.Extended.Worker != "me@here" || string(meta.Extended.Kwargs) != `{"x": 1}` || meta.Extended.Queue != "celery" {
		t.Errorf("the result is %+v, %v", meta, err)
	}
	if ttl := server.Int("TTL", "celery-task-meta-"+result.ID); ttl < 86390 || ttl > 86400 {
		t.Errorf("it is kept for %d s", ttl)
	}
}

func TestASuccessIsNotOverwritten(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	var runs atomic.Int32
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "once", func(context.Context, struct{}) (int, error) {
			if runs.Add(1) > 1 {
				return 0, tasks.Raise("ValueError", "second run")
			}
			return 1, nil
		})
	})
	_ = get[int](t, send(t, c, client.Task{Name: "once", ID: "same"}))
	send(t, c, client.Task{Name: "once", ID: "same"})
	testenv.Eventually(t, 5*time.Second, "it has run twice", func() bool { return runs.Load() == 2 && empty(server) })
	if got := get[int](t, c.Result("same")); got != 1 {
		t.Errorf("the result is %d", got)
	}
}

func TestTheWorkerComesBackAfterEveryKindOfInterruption(t *testing.T) {
	server := testenv.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	c := newClient(t, server)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		registerDouble(t)(w)
		handle(t, w, "hold", func(context.Context, struct{}) (string, error) { <-hold; return "held", nil })
	})
	t.Cleanup(release)
	held := send(t, c, client.Task{Name: "hold"})
	testenv.Eventually(t, 5*time.Second, "the task runs", func() bool { return server.Int("HLEN", "unacked") == 1 })
	for name, interrupt := range map[string]func(){
		"every connection cut": func() { server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") },
		"restart":              server.Restart,
		"scripts forgotten":    func() { server.Do("SCRIPT", "FLUSH") },
		"full memory":          func() { server.Do("CONFIG", "SET", "maxmemory", "1") },
		"read only":            func() { server.Do("CONFIG", "SET", "min-replicas-to-write", "1") },
	} {
		interrupt()
		switch name {
		case "full memory":
			server.Do("CONFIG", "SET", "maxmemory", "0")
		case "read only":
			server.Do("CONFIG", "SET", "min-replicas-to-write", "0")
		}
		var result *client.AsyncResult
		testenv.Eventually(t, 10*time.Second, "the client sends again after "+name, func() bool {
			var err error
			result, err = c.Send(context.Background(), client.Task{Name: "double", Args: []any{4}})
			return err == nil
		})
		if got := get[int](t, result); got != 8 {
			t.Errorf("after %s the result is %d", name, got)
		}
	}
	release()
	if got := get[string](t, held); got != "held" {
		t.Errorf("the task that ran through it all gave %q", got)
	}
	testenv.Eventually(t, 5*time.Second, "all is settled", func() bool { return empty(server) })
}

func TestAFullRedisDelaysAndLosesNothing(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "hold", func(context.Context, struct{}) (int, error) { <-hold; return 9, nil })
	})
	t.Cleanup(release)
	result := send(t, c, client.Task{Name: "hold"})
	testenv.Eventually(t, 5*time.Second, "the task runs", func() bool { return server.Int("HLEN", "unacked") == 1 })
	server.Do("CONFIG", "SET", "maxmemory", "1")
	release()
	if got := get[int](t, result); got != 9 { // HDEL comes first, so the settle step is allowed
		t.Errorf("the result is %d", got)
	}
}

func TestABadURLIsAnErrorWithoutThePassword(t *testing.T) {
	for _, url := range []string{"amqp://guest:hidden@localhost", "redis://:hidden@localhost/x", "redis://:hidden@local host", "rediss://:hidden@h/0?ssl_ca_certs=/nowhere", "sentinel://:hidden@a;redis://b"} {
		_, err := worker.New(worker.Config{BrokerURL: url})
		if err == nil || countLines(err.Error(), "hidden") > 0 {
			t.Errorf("%s gives %v", url, err)
		}
	}
}
