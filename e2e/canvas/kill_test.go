package canvas

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// lease is short, so that what a killed worker held runs again soon.
const lease = time.Second

// work is a worker in a process of its own.
func work(url string) error {
	w, err := worker.New(worker.Config{BrokerURL: url, Queues: []string{"a", "b", "celery"}, Concurrency: 2, Lease: lease, MaxDeliveries: 1000, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	pool := &redis.Pool{MaxIdle: 4, Dial: func() (redis.Conn, error) { return redis.DialURL(url) }}
	if err := register(w, pool, 10*time.Millisecond); err != nil {
		return err
	}
	return w.Main(context.Background())
}

func (f fleet) startProcess(t *testing.T) *testenv.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CANVAS_WORKER="+f.url)
	return testenv.Start(t, cmd)
}

// TestKilledWorkersDoubleNothing runs the matrix on three workers of which one, by chance, is killed every moment: everything gives what it gives in peace, nothing was sent twice, no chord
// hangs, and no key of a chord is left. CANVAS_ROUNDS is how often, default 1.
func TestKilledWorkersDoubleNothing(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("CANVAS_ROUNDS"))
	if err != nil {
		rounds = 1
	}
	python := testenv.Python(t, testenv.Celery57)
	peace := fleet{"peace", testenv.Redis(t).URL()}
	peace.startGo(t, worker.Config{Queues: []string{"a", "b", "celery"}})
	want := peace.run(t, python)
	for range rounds {
		f := fleet{"killed", testenv.Redis(t).URL()}
		kills, stop := f.kill(t)
		got := f.run(t, python)
		stop()
		t.Logf("%d kills", *kills)
		if *kills < 5 {
			t.Errorf("only %d workers were killed", *kills)
		}
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s gives\n%s\nin peace\n%s", name, got[name], want[name])
			}
			if !strings.Contains(got[name], `"doubled": []`) && name != "left behind" {
				t.Errorf("sent twice: %s", got[name])
			}
		}
	}
}

// kill keeps three workers running and kills one of them, by chance, every moment, until stop is called.
func (f fleet) kill(t *testing.T) (kills *int, stop func()) {
	t.Helper()
	workers := []*testenv.Process{f.startProcess(t), f.startProcess(t), f.startProcess(t)}
	kills = new(int)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			pause := time.NewTimer(time.Duration(50+rand.IntN(400)) * time.Millisecond)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
			i := rand.IntN(len(workers))
			workers[i].Kill()
			*kills++
			workers[i] = f.startProcess(t)
		}
	}()
	return kills, func() {
		cancel()
		<-done
		for _, w := range workers {
			w.Kill()
		}
	}
}
