// Package e2e holds the tests that cross the language border: real Python Celery produces, a Lovage worker runs, real AsyncResult reads.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a worker with the tasks of testdata/app.py until the test ends.
func start(t *testing.T, config worker.Config) {
	t.Helper()
	config.Logger = zaptest.NewLogger(t, zaptest.Level(zapFatal))
	w, err := worker.New(config)
	if err != nil {
		t.Fatal(err)
	}
	register(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

func register(t *testing.T, w *worker.Worker) {
	t.Helper()
	for _, err := range []error{
		worker.Handle(w, "e2e.echo", func(_ context.Context, in struct{ Value any }) (any, error) { return in.Value, nil }),
		worker.Handle(w, "e2e.add", func(_ context.Context, in struct {
			X, Y int
			Z    int `default:"3"`
		}) (int, error) {
			return in.X + in.Y, nil
		}),
		worker.Handle(w, "e2e.made", made),
		worker.Handle(w, "e2e.only", func(context.Context, struct{}) (string, error) { return "only", nil }),
		worker.Handle(w, "e2e.null", func(context.Context, struct{}) (any, error) { return nil, nil }),
		worker.Handle(w, "e2e.collect", func(_ context.Context, in struct {
			Args   []any          `lovage:"args"`
			Kwargs map[string]any `lovage:"kwargs"`
		}) (any, error) {
			return []any{in.Args, in.Kwargs}, nil
		}),
		worker.Handle(w, "e2e.keyword", func(_ context.Context, in struct {
			A      int
			Scale  int `lovage:"kwonly"`
			Offset int `lovage:"kwonly" default:"1"`
		}) (int, error) {
			return in.A*in.Scale + in.Offset, nil
		}),
		worker.Handle(w, "e2e.fail", func(_ context.Context, in struct {
			Kind string
			Args []any `lovage:"args"`
		}) (any, error) {
			return nil, tasks.Raise(in.Kind, in.Args...)
		}),
		worker.Handle(w, "e2e.custom", func(_ context.Context, in struct{ Message string }) (any, error) {
			return nil, tasks.Raise("app.BrokenPipe2", in.Message)
		}),
		worker.Handle(w, "e2e.size", func(_ context.Context, in struct{ Data string }) (int, error) { return len(in.Data), nil }),
		worker.Handle(w, "e2e.request", request),
		worker.Handle(w, "e2e.retry", retry, tasks.WithRetry(tasks.RetryPolicy{MaxRetries: new(2)})),
		worker.Handle(w, "e2e.auto", auto, tasks.WithRetry(tasks.RetryPolicy{
			DefaultRetryDelay: time.Nanosecond,
			AutoretryFor:      func(err error) bool { x := tasks.ExceptionOf(err); return x.Type == "KeyError" },
		})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// made gives the values that app.py's task of the same name gives.
func made(context.Context, struct{}) (any, error) {
	return map[string]any{
		"utc": time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC), "offset": time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 19800)),
		"date": protocol.Date("2024-02-29"), "time": protocol.TimeOfDay("12:00:01"), "decimal": protocol.Decimal("1.10"), "uuid": uuid.UUID{15: 5},
	}, nil
}

// retry fails as app.py's task of the same name.
func retry(ctx context.Context, in struct {
	Fails int
	Named bool `default:"true"`
}) ([]any, error) {
	r, _ := tasks.FromContext(ctx)
	if r.Retries < in.Fails {
		var reason error
		if in.Named {
			reason = tasks.Raise("ValueError", fmt.Sprint("attempt ", r.Retries))
		}
		return nil, tasks.RetryIn(0, reason)
	}
	return []any{r.Retries, r.ID == r.RootID}, nil
}

func auto(ctx context.Context, in struct{ Fails int }) (int, error) {
	r, _ := tasks.FromContext(ctx)
	if r.Retries < in.Fails {
		return 0, tasks.Raise("KeyError", "attempt", r.Retries)
	}
	return r.Retries, nil
}

// request answers as app.py's task of the same name.
func request(ctx context.Context, _ struct{}) (protocol.Object, error) {
	r, _ := tasks.FromContext(ctx)
	null := func(text string) protocol.Raw {
		if text == "" {
			return protocol.Null()
		}
		return protocol.Quote(text)
	}
	headers := protocol.Object{}
	for _, member := range r.Headers() {
		if strings.HasPrefix(member.Name, "x-") {
			headers = append(headers, member)
		}
	}
	seconds := func(v float64) protocol.Raw {
		if v == 0 {
			return protocol.Null()
		}
		raw, _ := protocol.Marshal(int(v))
		return raw
	}
	number := func(n int) protocol.Raw { raw, _ := protocol.Marshal(n); return raw }
	return protocol.Object{
		{Name: "id", Value: null(r.ID)}, {Name: "retries", Value: number(r.Retries)}, {Name: "root_id", Value: null(r.RootID)},
		{Name: "parent_id", Value: null(r.ParentID)}, {Name: "group", Value: null(r.GroupID)}, {Name: "headers", Value: headers.Raw()},
		{Name: "priority", Value: number(r.DeliveryInfo.Priority)}, {Name: "routing_key", Value: null(r.DeliveryInfo.RoutingKey)},
		{Name: "timelimit", Value: protocol.Array([]protocol.Raw{seconds(r.TimeLimit.Seconds()), seconds(r.SoftTimeLimit.Seconds())})},
	}, nil
}

type rowResult struct {
	Name  string   `json:"name"`
	Equal bool     `json:"equal"`
	Go    []string `json:"go"`
	Py    []string `json:"py"`
}

// TestRowsGiveWhatAPythonWorkerGives sends every row of testdata/rows.py to a Go and to a Python worker and compares what AsyncResult gives.
func TestRowsGiveWhatAPythonWorkerGives(t *testing.T) {
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{testenv.Celery57, testenv.Celery52, testenv.Celery44} {
		t.Run("celery "+version, func(t *testing.T) {
			redis := testenv.Redis(t)
			env := []string{"BROKER=" + redis.URL()}
			python := testenv.Python(t, version)
			python.CeleryWorker(folder, env, "py", "-Q", "py")
			start(t, worker.Config{BrokerURL: redis.URL(), Queues: []string{"go"}, PlainTypes: version != testenv.Celery57})
			out := python.Run(folder, env, "", "rows.py")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) < 60 {
				t.Errorf("only %d rows", len(lines))
			}
			for _, line := range lines {
				var row rowResult
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatalf("%v in %q", err, line)
				}
				t.Run(row.Name, func(t *testing.T) {
					if !row.Equal {
						t.Errorf("Go gives\n  %q\nPython gives\n  %q", row.Go, row.Py)
					}
				})
			}
		})
	}
}
