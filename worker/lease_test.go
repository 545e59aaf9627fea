package worker_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
)

func TestWhatAKilledWorkerHeldRunsElsewhere(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	first := startProcess(t, server)
	const tasks = 4
	for n := range tasks {
		send(t, c, client.Task{Name: "count", ID: fmt.Sprint("t", n), Args: []any{fmt.Sprint(n), 3600}})
	}
	testenv.Eventually(t, 10*time.Second, "four tasks run", func() bool { return len(server.Strings("KEYS", "ran:*")) == 4 })
	first.Kill()
	startProcess(t, server)
	startProcess(t, server)
	testenv.Eventually(t, 15*time.Second, "the killed worker's tasks run elsewhere", func() bool {
		again := 0
		for _, key := range server.Strings("KEYS", "ran:*") {
			if server.Int("LLEN", key) == 2 {
				again++
			}
		}
		return again == 4
	})
	if total := server.Int("HLEN", "unacked") + server.Int("LLEN", "celery"); total != tasks {
		t.Errorf("%d of %d messages are left", total, tasks)
	}
}

func TestAPausedWorkerSettlesNothingAfterItsLease(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	paused := startProcess(t, server)
	result := send(t, c, client.Task{Name: "count", Args: []any{"a", 1.0}})
	testenv.Eventually(t, 10*time.Second, "the task runs", func() bool { return server.Int("EXISTS", "ran:a") == 1 })
	paused.Signal(syscall.SIGSTOP)
	other := startProcess(t, server)
	if got := get[string](t, result); got != "done" {
		t.Errorf("the result is %q", got)
	}
	ran := server.Strings("LRANGE", "ran:a", 0, -1)
	if len(ran) != 2 || ran[1] != fmt.Sprint(other.PID()) {
		t.Fatalf("the task ran in %v; the other worker is %d", ran, other.PID())
	}
	server.Do("SET", "celery-task-meta-"+result.ID, "marked")
	paused.Signal(syscall.SIGCONT)
	testenv.Eventually(t, 10*time.Second, "the paused worker notices and begins anew", func() bool {
		return countLines(paused.Output(), `"ready"`) == 2
	})
	if countLines(paused.Output(), "lease lost") == 0 {
		t.Errorf("it does not say why:\n%s", paused.Output())
	}
	if got := server.Strings("MGET", "celery-task-meta-"+result.ID); got[0] != "marked" {
		t.Errorf("the paused worker stored %s", got[0])
	}
	// Under its new identity it works again.
	other.Kill()
	if got := get[string](t, send(t, c, client.Task{Name: "count", Args: []any{"b"}})); got != "done" {
		t.Errorf("the result is %q", got)
	}
}

func TestATaskThatKillsItsWorkersIsBuried(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, server)
	send(t, c, client.Task{Name: "count", ID: "poison", Args: []any{"poison", 0, true}})
	for deaths := 0; server.Int("ZCARD", "lovage:deadletter") == 0; deaths++ {
		if deaths > 4 {
			t.Fatalf("%d workers died", deaths)
		}
		w := startProcess(t, server)
		testenv.Eventually(t, 15*time.Second, "the worker dies or the message is buried", func() bool {
			return w.Exited() || server.Int("ZCARD", "lovage:deadletter") == 1
		})
		if !w.Exited() {
			w.Kill()
		}
	}
	if n := server.Int("LLEN", "ran:poison"); n != 3 {
		t.Errorf("it ran %d times, the limit is 3", n)
	}
	if info := server.Strings("HVALS", "lovage:deadletter:info"); len(info) != 1 || countLines(info[0], "WorkerLostError") != 1 {
		t.Errorf("the dead letters say %v", info)
	}
}
