package canvas

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/worker"
)

// large is a chord of n members whose body counts its results.
func large(n int) client.Signature {
	header := make([]client.Signature, n)
	for i := range header {
		header[i] = client.S(client.Task{Name: "c.plain", Args: []any{i}, Queue: "a"})
	}
	return client.Chord(header, client.S(client.Task{Name: "c.count", Queue: "a"}))
}

// startPlain starts a Lovage worker with the two tasks of a large chord, which do nothing else.
func startPlain(tb testing.TB, url string) {
	tb.Helper()
	w, err := worker.New(worker.Config{BrokerURL: url, Queues: []string{"a"}, Logger: zap.NewNop()})
	if err != nil {
		tb.Fatal(err)
	}
	for _, err := range []error{
		worker.Handle(w, "c.plain", func(_ context.Context, in struct{ X int }) (int, error) { return in.X, nil }),
		worker.Handle(w, "c.count", func(_ context.Context, in struct{ Values protocol.Raw }) (int, error) {
			values, err := in.Values.Elements()
			for i, value := range values {
				if string(value) != fmt.Sprint(i) {
					return 0, fmt.Errorf("result %d is %s", i, value)
				}
			}
			return len(values), err
		}),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
}

// runLarge sends a chord of n members, lets start bring the workers once all messages are there, and tells how long they took and how much memory Redis had in use at most, above that of the
// messages.
func runLarge(tb testing.TB, server *testenv.RedisServer, n int, start func()) (took time.Duration, peak int) {
	tb.Helper()
	c, err := client.New(client.Config{BrokerURL: server.URL()})
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Minute)
	defer cancel()
	promise, err := c.Apply(ctx, large(n))
	if err != nil {
		tb.Fatal(err)
	}
	before := memory(server)
	start()
	began := time.Now()
	ended := make(chan error, 1)
	var count int
	go func() { ended <- promise.Get(ctx, &count) }()
	sample := time.NewTicker(50 * time.Millisecond)
	defer sample.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil || count != n {
				tb.Fatalf("the body counted %d, %v", count, err)
			}
			return time.Since(began), peak
		case <-sample.C:
			peak = max(peak, memory(server)-before)
		}
	}
}

// memory is what Redis has in use.
func memory(server *testenv.RedisServer) int {
	text, _ := redis.String(server.Do("INFO", "memory"), nil)
	_, rest, _ := strings.Cut(text, "\nused_memory:")
	var n int
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// TestALargeChordIsWhole: every result is there, in order, and no key is left.
func TestALargeChordIsWhole(t *testing.T) {
	server := testenv.Redis(t)
	runLarge(t, server, 5000, func() { startPlain(t, server.URL()) })
	for _, suffix := range []string{"j", "t", "s"} {
		if keys := server.Strings("KEYS", "celery-taskset-meta-*."+suffix); len(keys) > 0 {
			t.Errorf("left: %v", keys)
		}
	}
}

// BenchmarkChord runs a chord of 10,000 and of 100,000 members on a Lovage worker and on a Celery worker with two processes. If the time grew with the square, 100,000 members would take
// 100 times as long as 10,000.
func BenchmarkChord(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		for _, side := range []string{"lovage", "celery"} {
			b.Run(fmt.Sprintf("%s/%d", side, n), func(b *testing.B) {
				for b.Loop() {
					server := testenv.Redis(b)
					start := func() { startPlain(b, server.URL()) }
					if side == "celery" {
						python := testenv.Python(b, testenv.Celery57)
						start = func() {
							cmd := python.Command(b.Context(), "testdata", []string{"BROKER=" + server.URL()}, "celery", "-A", "app", "worker", "-Q", "a", "-c", "2", "-l", "ERROR", "--without-gossip", "--without-mingle")
							testenv.Start(b, cmd)
							testenv.Eventually(b, time.Minute, "the worker has begun", func() bool { return server.Int("LLEN", "a") < n })
						}
					}
					took, peak := runLarge(b, server, n, start)
					b.ReportMetric(took.Seconds(), "s")
					b.ReportMetric(float64(n)/took.Seconds(), "members/s")
					b.ReportMetric(float64(peak)/(1<<20), "MiB-above-messages")
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
}
