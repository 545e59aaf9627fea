package canvas

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

// documented are the Go lines of docs/canvas.md.
func documented() map[string]client.Signature {
	task := func(name string) func(args ...any) client.Signature {
		return func(args ...any) client.Signature { return client.S(client.Task{Name: name, Args: args}) }
	}
	add, total, fail, tell := task("docs.add"), task("docs.total"), task("docs.fail"), task("docs.tell")
	return map[string]client.Signature{
		`client.Chain(add(2, 2), add(4), add(8))`:                                                                               client.Chain(add(2, 2), add(4), add(8)),
		`client.Chain(add(2, 2), client.SI(client.Task{Name: "docs.add", Args: []any{5, 5}}))`:                                  client.Chain(add(2, 2), client.SI(client.Task{Name: "docs.add", Args: []any{5, 5}})),
		`client.Group(add(1, 1), add(2, 2), add(3, 3))`:                                                                         client.Group(add(1, 1), add(2, 2), add(3, 3)),
		`client.Chord([]client.Signature{add(1, 1), add(2, 2), add(3, 3)}, total())`:                                            client.Chord([]client.Signature{add(1, 1), add(2, 2), add(3, 3)}, total()),
		`client.Chord(nil, total())`:                                                                                            client.Chord(nil, total()),
		`client.Chain(add(1, 1), client.Group(add(1), add(2)), total(), add(5))`:                                                client.Chain(add(1, 1), client.Group(add(1), add(2)), total(), add(5)),
		`client.Chain(add(1, 1), client.Group(add(1), add(2)))`:                                                                 client.Chain(add(1, 1), client.Group(add(1), add(2))),
		`client.Chord([]client.Signature{client.Chain(add(1, 1), add(10)), add(2, 2)}, client.Chain(total(), add(100)))`:        client.Chord([]client.Signature{client.Chain(add(1, 1), add(10)), add(2, 2)}, client.Chain(total(), add(100))),
		`client.Chord([]client.Signature{client.Chord([]client.Signature{add(1, 1), add(2, 2)}, total()), add(3, 3)}, total())`: client.Chord([]client.Signature{client.Chord([]client.Signature{add(1, 1), add(2, 2)}, total()), add(3, 3)}, total()),
		`client.Chord([]client.Signature{add(1, 1), add(2, 2)}, client.Group(total(), total()))`:                                client.Chord([]client.Signature{add(1, 1), add(2, 2)}, client.Group(total(), total())),
		`add(2, 2).Link(add(10))`:                                                          add(2, 2).Link(add(10)),
		`client.Chain(add(1, 1), fail(), add(1)).LinkError(tell())`:                        client.Chain(add(1, 1), fail(), add(1)).LinkError(tell()),
		`client.Chord([]client.Signature{add(1, 1), fail()}, total())`:                     client.Chord([]client.Signature{add(1, 1), fail()}, total()),
		`client.Chunks(client.Task{Name: "docs.add"}, [][]any{{1, 1}, {2, 2}, {3, 3}}, 2)`: client.Chunks(client.Task{Name: "docs.add"}, [][]any{{1, 1}, {2, 2}, {3, 3}}, 2),
		`client.Starmap(client.Task{Name: "docs.add"}, [][]any{{1, 1}, {2, 2}})`:           client.Starmap(client.Task{Name: "docs.add"}, [][]any{{1, 1}, {2, 2}}),
		`client.Map(client.Task{Name: "docs.total"}, []any{[]int{1, 2}, []int{3}})`:        client.Map(client.Task{Name: "docs.total"}, []any{[]int{1, 2}, []int{3}}),
		`client.Chain(add(2, 2), add(4)).Stamp(map[string]any{"tenant": "acme"})`:          client.Chain(add(2, 2), add(4)).Stamp(map[string]any{"tenant": "acme"}),
	}
}

// pair finds a line of Python, the line of Go that does the same, and what both give.
var pair = regexp.MustCompile("(?s)```python\n([^\n]+)\n```\n\n```go\n([^\n]+)\n```\n\nResult: `([^`]+)`")

// TestTheDocumentationIsTrue runs every pair of lines of docs/canvas.md on a Lovage worker.
func TestTheDocumentationIsTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "canvas.md"))
	if err != nil {
		t.Fatal(err)
	}
	pairs := pair.FindAllStringSubmatch(string(text), -1)
	f := fleet{"go", testenv.Redis(t).URL()}
	startDocumented(t, f.url)
	lines := make([]string, len(pairs))
	for i, p := range pairs {
		lines[i] = p[1]
	}
	input, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	var python []string
	if err := json.Unmarshal([]byte(testenv.Python(t, testenv.Celery57).Run(folder(t), f.env(), string(input), "docs.py")), &python); err != nil {
		t.Fatal(err)
	}
	canvases := documented()
	if len(pairs) != len(canvases) {
		t.Errorf("%d pairs of lines, %d known here", len(pairs), len(canvases))
	}
	c, err := client.New(client.Config{BrokerURL: f.url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, p := range pairs {
		canvas, ok := canvases[p[2]]
		if !ok {
			t.Errorf("%s is not known here", p[2])
			continue
		}
		if got := outcomeOf(t, c, canvas); got != p[3] || python[i] != p[3] {
			t.Errorf("%s gives %s, %s gives %s; want %s", p[2], got, p[1], python[i], p[3])
		}
	}
}

func outcomeOf(t *testing.T, c *client.Client, canvas client.Signature) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	promise, err := c.Apply(ctx, canvas)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	var failure *client.TaskError
	switch err := promise.Get(ctx, &value); {
	case errors.As(err, &failure):
		return failure.Exception.Type
	case err != nil:
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func startDocumented(t *testing.T, url string) {
	t.Helper()
	w, err := worker.New(worker.Config{BrokerURL: url, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		worker.Handle(w, "docs.add", func(_ context.Context, in struct{ X, Y int }) (int, error) { return in.X + in.Y, nil }),
		worker.Handle(w, "docs.total", func(_ context.Context, in struct{ Values []int }) (int, error) {
			sum := 0
			for _, v := range in.Values {
				sum += v
			}
			return sum, nil
		}),
		worker.HandleFunc(w, "docs.fail", func(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
			return nil, tasks.Raise("ValueError", "no")
		}),
		worker.Handle(w, "docs.tell", func(_ context.Context, in struct{ ID string }) (string, error) { return in.ID, nil }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
