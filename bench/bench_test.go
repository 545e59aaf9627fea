package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// How many tasks one measurement runs: some seconds' worth for either side.
const (
	celeryTasks = 8_000
	lovageTasks = 200_000
	rounds      = 3
)

// workerURL, when set, makes the test binary the Lovage worker: a process of its own, as in use.
const workerURL = "LOVAGE_BENCH_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(url string) error {
	w, err := worker.New(worker.Config{BrokerURL: url, Queues: []string{"bench"}})
	if err != nil {
		return err
	}
	if err := worker.Handle(w, "bench.noop", func(context.Context, struct{}) (any, error) { return nil, nil }); err != nil {
		return err
	}
	return w.Main(context.Background())
}

// BenchmarkNoOp empties a filled queue of tasks that do nothing: Celery 5.7.0 with its prefork pool of two processes, and Lovage with as many handlers as cores.
// It reports the medians of three rounds in which both take turns.
func BenchmarkNoOp(b *testing.B) {
	for _, c := range []struct {
		name    string
		ignored bool
	}{{"results ignored", true}, {"results in Redis", false}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				compare(b, c.ignored)
			}
		})
	}
}

func compare(b *testing.B, ignored bool) {
	var celery, lovage []float64
	for range rounds {
		celery = append(celery, measure(b, ignored, celeryTasks, startCelery))
		lovage = append(lovage, measure(b, ignored, lovageTasks, startLovage))
	}
	b.Logf("tasks a second, Celery %.0f, Lovage %.0f", celery, lovage)
	b.ReportMetric(median(celery), "celery-tasks/s")
	b.ReportMetric(median(lovage), "lovage-tasks/s")
	b.ReportMetric(median(lovage)/median(celery), "times")
	b.ReportMetric(0, "ns/op") // says nothing here
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func startCelery(b *testing.B, server *testenv.RedisServer) *testenv.Process {
	python, folder := testenv.Python(b, testenv.Celery57), testdata(b)
	return testenv.Start(b, python.Command(context.Background(), folder, []string{"BROKER=" + server.URL()},
		"celery", "-A", "app", "worker", "-Q", "bench", "-c", "2", "--pool", "prefork", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"))
}

func startLovage(b *testing.B, server *testenv.RedisServer) *testenv.Process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerURL+"="+server.URL())
	return testenv.Start(b, cmd)
}

func testdata(b *testing.B) string {
	b.Helper()
	folder, err := filepath.Abs("testdata")
	if err != nil {
		b.Fatal(err)
	}
	return folder
}

// measure starts a worker, lets it warm up, gives it a queue that has been filled elsewhere, and tells how many tasks a second it ran until none was left.
func measure(b *testing.B, ignored bool, tasks int, start func(*testing.B, *testenv.RedisServer) *testenv.Process) float64 {
	b.Helper()
	server := testenv.Redis(b)
	defer server.Process.Kill()
	message := capture(b, server, ignored)
	p := start(b, server)
	defer p.Kill()
	fill(b, server, message, "warm", 200)
	server.Do("RENAME", "warm", "bench")
	wait(b, server, p, 0)
	server.Do("FLUSHALL")

	fill(b, server, message, "filled", tasks)
	began := time.Now()
	server.Do("RENAME", "filled", "bench")
	results := tasks
	if ignored {
		results = 0
	}
	wait(b, server, p, results)
	return float64(tasks) / time.Since(began).Seconds()
}

// wait waits until nothing is queued, nothing unacknowledged, and the results are there. Celery acknowledges when a task begins: where results are ignored, its
// last tasks count as done a little early.
func wait(b *testing.B, server *testenv.RedisServer, p *testenv.Process, results int) {
	b.Helper()
	testenv.Eventually(b, 3*time.Minute, "the queue is empty and the results are there", func() bool {
		if p.Exited() {
			b.Fatalf("the worker ended:\n%s", p.Output())
		}
		return server.Int("LLEN", "bench") == 0 && server.Int("HLEN", "unacked") == 0 && server.Int("DBSIZE") >= results
	})
}

// sent is the id in the captured message, replaced in each copy.
const sent = "00000000-0000-4000-8000-000000000000"

// capture lets Celery send one message and takes it from the queue.
func capture(b *testing.B, server *testenv.RedisServer, ignored bool) []byte {
	b.Helper()
	script := "import sys; from app import app; app.send_task('bench.noop', task_id=sys.argv[1], queue='sample', ignore_result=sys.argv[2] == 'true')"
	testenv.Python(b, testenv.Celery57).Run(testdata(b), []string{"BROKER=" + server.URL()}, script, "-", sent, fmt.Sprint(ignored))
	message, err := redis.Bytes(server.Do("LPOP", "sample"), nil)
	if err != nil || !bytes.Contains(message, []byte(sent)) {
		b.Fatalf("capture a message: %v: %s", err, message)
	}
	server.Do("FLUSHALL")
	return message
}

func fill(b *testing.B, server *testenv.RedisServer, message []byte, list string, n int) {
	b.Helper()
	conn, err := redis.Dial("tcp", server.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for n > 0 {
		args := redis.Args{}.Add(list)
		for range min(n, 1000) {
			args = args.Add(bytes.ReplaceAll(message, []byte(sent), []byte(uuid.NewString())))
		}
		n -= len(args) - 1
		if _, err := conn.Do("LPUSH", args...); err != nil {
			b.Fatal(err)
		}
	}
}
