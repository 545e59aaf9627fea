// Package canvas holds the tests of canvases across the language border: the same shapes run by Python workers, by Lovage workers, and by both in turn.
package canvas

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// TestMain runs the tests; in a process that startProcess has started, a worker.
func TestMain(m *testing.M) {
	if url := os.Getenv("CANVAS_WORKER"); url != "" {
		if err := work(url); err != nil {
			log.Fatal(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// fleet is a Redis database with the workers on it.
type fleet struct {
	name, url string
}

func (f fleet) env() []string { return []string{"BROKER=" + f.url} }

func database(server *testenv.RedisServer, n int) string {
	return fmt.Sprintf("redis://%s/%d", server.Addr(), n)
}

// startPython starts a Python worker of the fleet.
func (f fleet) startPython(t *testing.T, python *testenv.Venv, queues string) {
	t.Helper()
	python.CeleryWorker(folder(t), f.env(), f.name, "-Q", queues)
}

// startGo starts a Lovage worker of the fleet until the test ends.
func (f fleet) startGo(t *testing.T, config worker.Config) {
	t.Helper()
	config.BrokerURL = f.url
	config.Logger = zaptest.NewLogger(t, zaptest.Level(zapcore.FatalLevel))
	if testing.Verbose() {
		config.Logger = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	}
	w, err := worker.New(config)
	if err != nil {
		t.Fatal(err)
	}
	pool := &redis.Pool{MaxIdle: 4, Dial: func() (redis.Conn, error) { return redis.DialURL(f.url) }}
	if err := register(w, pool, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
		_ = pool.Close()
	})
}

func folder(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// run sends the shapes to a fleet and returns what was seen of each.
func (f fleet) run(t *testing.T, python *testenv.Venv, shapes ...string) map[string]string {
	t.Helper()
	out := python.Run(folder(t), f.env(), "", append([]string{"matrix.py"}, shapes...)...)
	seen := map[string]string{}
	for line := range strings.Lines(out) {
		var row struct{ Name string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		seen[row.Name] = strings.TrimSpace(line)
	}
	return seen
}

// TestMatrix runs every shape of testdata/shapes.py on Python workers, on Lovage workers, and on both, the steps in turn, and compares all that can be seen: results, states, children, parents,
// roots, arguments, retries.
func TestMatrix(t *testing.T) {
	server := testenv.Redis(t)
	python := testenv.Python(t, testenv.Celery57)
	fleets := []fleet{{"py", database(server, 0)}, {"go", database(server, 1)}, {"mixed", database(server, 2)}}
	fleets[0].startPython(t, python, "a,b,celery")
	fleets[1].startGo(t, worker.Config{Queues: []string{"a", "b", "celery"}})
	fleets[2].startPython(t, python, "a,celery")
	fleets[2].startGo(t, worker.Config{Queues: []string{"b", "celery"}})
	seen := make([]map[string]string, len(fleets))
	var running sync.WaitGroup
	for i, f := range fleets {
		running.Go(func() { seen[i] = f.run(t, python) })
	}
	running.Wait()
	if len(seen[0]) < 60 {
		t.Errorf("only %d shapes", len(seen[0]))
	}
	for name, want := range seen[0] {
		if name == "left behind" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for i := 1; i < len(fleets); i++ {
				if got := seen[i][name]; got != want {
					t.Errorf("%s gives\n%s\npy gives\n%s", fleets[i].name, got, want)
				}
			}
		})
	}
	for i, f := range fleets {
		t.Log(f.name, seen[i]["left behind"])
	}
	if got := seen[1]["left behind"]; got != `{"name": "left behind", "keys": [], "hanging": []}` {
		t.Errorf("go: %s", got)
	}
}
