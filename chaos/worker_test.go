package chaos

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

// full asks for the sizes of make chaos.
var full = flag.Bool("full", false, "run the faults in full size")

// sized is the full or the short form of a number.
func sized[N any](fullSize, short N) N {
	if *full {
		return fullSize
	}
	return short
}

// workerEnv, when set, makes the test binary a worker with the options in it.
const workerEnv = "LOVAGE_CHAOS_WORKER"

// options of a worker process.
type options struct {
	Broker, Ledger     string
	Concurrency        int
	Lease, KeepResults time.Duration
}

func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		var o options
		err := json.Unmarshal([]byte(text), &o)
		if err == nil {
			err = o.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// start runs a worker process and waits until it is ready.
func (o options) start(t *testing.T) *testenv.Process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	p := testenv.Start(t, cmd)
	testenv.Eventually(t, 30*time.Second, "the worker is ready", func() bool {
		if p.Exited() {
			t.Fatalf("the worker has ended: %s", p.Output())
		}
		return strings.Contains(p.Output(), `"ready"`)
	})
	return p
}

// work is a task of the chaos tests.
type work struct {
	ID string
	// Millis is how long it takes.
	Millis float64 `default:"0"`
	// Again makes the first attempt ask for a second one, which the settle step pushes: were a settle carried out twice, the second attempt would run twice.
	Again bool `default:"false"`
	// Due is when it should start, in seconds; its lateness is noted.
	Due float64 `default:"0"`
}

// run is the worker process. Its handlers write to the ledger when they start and when they end.
func (o options) run() error {
	log, err := zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel), zap.WrapCore(onlyReadyBelowWarn))
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{
		BrokerURL: o.Broker, ResultBackend: o.Broker, Concurrency: o.Concurrency, Lease: o.Lease, ResultExpires: o.KeepResults, Logger: log,
	})
	if err != nil {
		return err
	}
	ledger := &redis.Pool{MaxIdle: 64, Dial: func() (redis.Conn, error) { return redis.DialURL(o.Ledger) }}
	defer ledger.Close()
	note := func(entry string) error {
		conn := ledger.Get()
		defer conn.Close()
		_, err := conn.Do("RPUSH", "runs", entry)
		return err
	}
	pid := os.Getpid()
	err = worker.Handle(w, "chaos.work", func(ctx context.Context, in work) (string, error) {
		r, _ := tasks.FromContext(ctx)
		if in.Due > 0 {
			late := float64(time.Now().UnixMicro())/1e6 - in.Due
			return in.ID, note(fmt.Sprintf("R %s %d %d %.6f", in.ID, r.Retries, pid, late))
		}
		if in.Millis == 0 {
			return in.ID, note(fmt.Sprintf("R %s %d %d 0", in.ID, r.Retries, pid))
		}
		if err := note(fmt.Sprintf("S %s %d %d 0", in.ID, r.Retries, pid)); err != nil {
			return "", err
		}
		select {
		case <-time.After(time.Duration(in.Millis * float64(time.Millisecond))):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		if err := note(fmt.Sprintf("E %s %d %d 0", in.ID, r.Retries, pid)); err != nil {
			return "", err
		}
		if in.Again && r.Retries == 0 {
			return "", tasks.RetryIn(0, nil)
		}
		return in.ID, nil
	})
	if err != nil {
		return err
	}
	go report(ledger, pid)
	return w.Main(context.Background())
}

// report notes the process's size in the ledger each second, until the process ends.
func report(ledger *redis.Pool, pid int) {
	for range time.Tick(time.Second) {
		conn := ledger.Get()
		runtime.GC() // what is measured is what is held
		_, _ = conn.Do("RPUSH", fmt.Sprint("size:", pid), fmt.Sprintf("%d %d %d", rss(pid), runtime.NumGoroutine(), descriptors(pid)))
		_ = conn.Close()
	}
}

func rss(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	return pages * int64(syscall.Getpagesize())
}

func descriptors(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}
