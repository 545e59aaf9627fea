package peers

import (
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// How long workers have to come to rest, and how long they are looked at.
const (
	settling = 15 * time.Second
	window   = 20 * time.Second
)

// idle looks at workers that have nothing to do, all at the same time, each with a Redis of its own.
func idle(b *testing.B, s *site) {
	prefork := celery("prefork")
	prefork.command = func(st *stage) *exec.Cmd { return st.celeryCommand("prefork") } // heartbeat, gossip and mingle as by default
	peers := []peer{prefork, asynqPeer(), machineryPeer(), lovage()}
	var stages []*stage
	for _, p := range peers {
		st, done := s.open(b, p, options{tasks: 1})
		defer done()
		p.fill(st, "bench.count", 1)
		st.start()
		st.await(time.Minute, "the first task has run", func() bool { return st.record.At(0) == 1 })
		stages = append(stages, st)
	}
	time.Sleep(settling)
	commands, cores, memory := make([][]float64, len(peers)), make([][]float64, len(peers)), make([][]float64, len(peers))
	for range s.rounds {
		before := make([]usage, len(peers))
		for i, st := range stages {
			st.resetLoad()
			before[i] = usageOf(b, st.workers[0])
		}
		time.Sleep(window)
		for i, st := range stages {
			after := usageOf(b, st.workers[0])
			commands[i] = append(commands[i], st.loadSince(0).commands/window.Seconds())
			cores[i] = append(cores[i], 100*(after.cpu-before[i].cpu)/window.Seconds())
			memory[i] = append(memory[i], float64(after.rss)/(1<<20))
		}
	}
	t := s.report.table("An idle worker", "Commands as Redis counts them, those inside scripts too; CPU in percent of one core; resident memory of all processes of the worker.",
		"peer", "commands/s", "CPU %", "RSS MB")
	t.unit = "Redis commands/s"
	for i, p := range peers {
		t.row(p.name, median(commands[i]), fmt.Sprintf("%.2f", median(commands[i])), fmt.Sprintf("%.3f", median(cores[i])), fmt.Sprintf("%.1f", median(memory[i])))
	}
}
