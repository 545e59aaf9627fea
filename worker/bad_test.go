package worker_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/internal/testenv/malformed"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func countLines(text, part string) int { return strings.Count(text, part) }

func TestMalformedMessagesAreBuriedByteForByteAmongGoodOnes(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	send(t, c, client.Task{Name: "good", Args: []any{1, "two"}})
	good := []byte(server.Strings("LRANGE", "celery", 0, 0)[0])
	server.Do("DEL", "celery")
	bad := malformed.Messages(t, good)
	if len(bad) < 300 {
		t.Fatalf("only %d malformed messages", len(bad))
	}
	for _, message := range bad {
		send(t, c, client.Task{Name: "good", Args: []any{1, "two"}})
		server.Do("LPUSH", "celery", message)
	}
	var ran atomic.Int32
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "good", func(context.Context, struct {
			A int
			B string
		}) (int, error) {
			return int(ran.Add(1)), nil
		})
	})
	testenv.Eventually(t, 60*time.Second, "everything is settled", func() bool { return empty(server) })
	if got := int(ran.Load()); got != len(bad) {
		t.Errorf("%d of %d good messages ran", got, len(bad))
	}
	want := map[string]int{}
	for _, message := range bad {
		want[string(message)]++
	}
	for _, message := range server.Strings("HVALS", "lovage:deadletter:message") {
		want[message]--
	}
	for message, n := range want {
		if n != 0 {
			t.Errorf("%d too few in the dead letters: %.300q", n, message)
		}
	}
}

func TestAPickleIsRefusedWithAdvice(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	result := send(t, c, client.Task{Name: "x"})
	message, err := protocol.DecodeMessage([]byte(server.Strings("LRANGE", "celery", 0, 0)[0]), protocol.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	server.Do("DEL", "celery")
	message.ContentType = "application/x-python-serialize"
	server.Do("LPUSH", "celery", message.AppendJSON(nil))
	start(t, worker.Config{BrokerURL: server.URL()}, func(*worker.Worker) {})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := result.Get(ctx, nil); err == nil || !strings.Contains(err.Error(), "task_serializer") {
		t.Errorf("the result is %v", err)
	}
}

func divide(a, b int) int { return a / b }

func TestAPanicFailsOnlyItsTask(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "panics", func(context.Context, struct{}) (int, error) { return divide(1, 0), nil })
		handle(t, w, "works", func(context.Context, struct{}) (int, error) { return 7, nil })
	})
	bad := send(t, c, client.Task{Name: "panics"})
	if got := get[int](t, send(t, c, client.Task{Name: "works"})); got != 7 {
		t.Errorf("the other task gave %d", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := bad.Get(ctx, nil)
	failure, ok := err.(*client.TaskError)
	trace := regexp.MustCompile(`^Traceback \(most recent call last\):
  File ".*/bad_test.go", line \d+, in .*TestAPanicFailsOnlyItsTask.*
  File ".*/bad_test.go", line \d+, in .*divide
GoPanic: panic: runtime error: integer divide by zero
$`)
	if !ok || failure.Exception.Type != "GoPanic" || !trace.MatchString(failure.Traceback) {
		t.Errorf("the panic became %v\n%s", err, failure.Traceback)
	}
}

// nilError is what a handler returns that declares its error as a pointer and forgets that a nil pointer is no nil error.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestAnErrorThatPanicsFailsOnlyItsTask(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "fails", func(context.Context, struct{}) (int, error) { var err *nilError; return 0, err })
		handle(t, w, "works", func(context.Context, struct{}) (int, error) { return 7, nil })
	})
	bad := send(t, c, client.Task{Name: "fails"})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var failure *client.TaskError
	if err := bad.Get(ctx, nil); !errors.As(err, &failure) || failure.Exception.Type != "GoPanic" {
		t.Errorf("the error became %v", err)
	}
	if got := get[int](t, send(t, c, client.Task{Name: "works"})); got != 7 {
		t.Errorf("the next task gave %d", got)
	}
}

func TestRejectAndIgnore(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	var requeued atomic.Int32
	start(t, worker.Config{BrokerURL: server.URL()}, func(w *worker.Worker) {
		handle(t, w, "reject", func(context.Context, struct{}) (int, error) { return 0, tasks.Reject("no use", false) })
		handle(t, w, "ignore", func(context.Context, struct{}) (int, error) { return 0, fmt.Errorf("why: %w", tasks.ErrIgnore) })
		handle(t, w, "requeue", func(context.Context, struct{}) (int, error) {
			if requeued.Add(1) < 3 {
				return 0, tasks.Reject("later", true)
			}
			return 3, nil
		})
	})
	send(t, c, client.Task{Name: "reject", ID: "rejected"})
	send(t, c, client.Task{Name: "ignore", ID: "ignored"})
	if got := get[int](t, send(t, c, client.Task{Name: "requeue"})); got != 3 {
		t.Errorf("the requeued task gave %d", got)
	}
	testenv.Eventually(t, 5*time.Second, "all are settled", func() bool { return empty(server) })
	meta, err := c.Result("rejected").Meta(context.Background())
	if err != nil || string(meta.Result) != `{"exc_type": "Reject", "exc_message": ["no use", false], "exc_module": "celery.exceptions"}` {
		t.Errorf("the rejected task has the result %+v, %v", meta, err)
	}
	if server.Int("EXISTS", "celery-task-meta-ignored") != 0 || server.Int("ZCARD", "lovage:deadletter") != 1 {
		t.Errorf("keys: %v", server.Strings("KEYS", "*"))
	}
}

func TestContentThatIsNotAcceptedIsBuried(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL(), AcceptContent: []string{"json"}}, func(w *worker.Worker) {
		handle(t, w, "x", func(context.Context, struct{}) (int, error) { return 1, nil })
	})
	if got := get[int](t, send(t, c, client.Task{Name: "x"})); got != 1 {
		t.Errorf("json gives %d", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := send(t, c, client.Task{Name: "x", Serializer: "msgpack"}).Get(ctx, nil); err == nil || !strings.Contains(err.Error(), "ContentDisallowed") {
		t.Errorf("msgpack gives %v", err)
	}
	if _, err := worker.New(worker.Config{AcceptContent: []string{"nonsense"}}); err == nil {
		t.Error("a serializer that nobody knows was taken")
	}
}

func TestAHandlerThatEndsItsGoroutineFailsOnlyItsTask(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	start(t, worker.Config{BrokerURL: server.URL(), Concurrency: 1}, func(w *worker.Worker) {
		registerDouble(t)(w)
		handle(t, w, "exit", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil })
	})
	for range 3 {
		exited := send(t, c, client.Task{Name: "exit"})
		after := send(t, c, client.Task{Name: "double", Args: []any{4}})
		var failure *client.TaskError
		if err := exited.Get(context.Background(), nil); !errors.As(err, &failure) || failure.Exception.Type != "RuntimeError" {
			t.Errorf("the handler that ended its goroutine gave %v", err)
		}
		if got := get[int](t, after); got != 8 {
			t.Errorf("the task behind it gave %d", got)
		}
	}
	testenv.Eventually(t, 5*time.Second, "all is settled", func() bool { return empty(server) })
}
