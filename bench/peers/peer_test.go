package peers

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
)

// peer is one way to run tasks.
type peer struct {
	name string
	// tasks is how many it runs in one measurement: some seconds' worth.
	tasks int
	// concurrency is how many handlers run at once, where the run does not say: what serves the peer best.
	concurrency int
	postgres    bool
	prepare     func(*stage)
	command     func(*stage) *exec.Cmd
	// fill puts tasks 0..n-1 on the queue; send puts one there.
	fill func(s *stage, task string, n int)
	send func(s *stage, task string, i int)
	// left is how many tasks wait or are held; stored how many results there are.
	left, stored func(*stage) int
}

// program is a worker of this module.
func program(name string) func(*stage) *exec.Cmd {
	return func(s *stage) *exec.Cmd { return exec.Command(filepath.Join(s.bin, name)) }
}

// celeryMessages are sent as Celery 5.7.0 writes them, to Celery's and Lovage's workers alike.
func celeryMessages(p peer) peer {
	p.fill = func(s *stage, task string, n int) {
		s.push("LPUSH", queue, n, s.capture(s.b, shape{task: task, ignored: !s.results}).message)
	}
	p.send = func(s *stage, task string, i int) {
		s.do("LPUSH", queue, s.capture(s.b, shape{task: task, ignored: !s.results}).message(i))
	}
	p.left = func(s *stage) int { return s.int("LLEN", queue) + s.int("HLEN", "unacked") }
	p.stored = func(s *stage) int { return s.int("DBSIZE") }
	return p
}

func lovage() peer {
	return celeryMessages(peer{name: "Lovage", tasks: 200_000, concurrency: runtime.NumCPU(), command: program("lovage")})
}

// celery is a pool of Celery 5.7.0. Gossip, mingle and heartbeat are off: it is faster so.
func celery(pool string) peer {
	return celeryMessages(peer{name: "Celery " + pool, tasks: 6_000, concurrency: runtime.NumCPU(), command: func(s *stage) *exec.Cmd {
		return s.celeryCommand(pool, "--without-gossip", "--without-mingle", "--without-heartbeat")
	}})
}

func (s *stage) celeryCommand(pool string, more ...string) *exec.Cmd {
	args := append([]string{"-A", "app", "worker", "-Q", queue, "-c", strconv.Itoa(s.concurrency), "--pool", pool, "-l", "WARNING"}, more...)
	return s.python.Command(context.Background(), s.testdata, nil, "celery", args...)
}

// bare only pops and deletes: see workers/bare.
func bare() peer {
	p := celeryMessages(peer{name: "bare limit", tasks: 400_000, concurrency: 1, command: program("bare")})
	p.left = func(s *stage) int { return s.int("LLEN", queue) }
	return p
}
