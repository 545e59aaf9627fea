package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// fleetSize is how many idle workers share Redis with a busy one.
const fleetSize = 1000

// fleet measures a busy worker alone and beside idle ones that wait on another queue of the same Redis. The idle ones run here too and take their share of the cores, which
// a fleet on machines of its own would not: their CPU is shown, and how much of Redis' own time a task takes.
func fleet(b *testing.B, s *site) {
	p := lovage()
	var rates, redisTime [2][]float64
	var cores, commands []float64
	for range s.rounds {
		for beside := range 2 {
			s.on(b, p, options{tasks: p.tasks}, func(st *stage) {
				if beside == 1 {
					idlers := st.startFleet()
					began, cpu := usageOf(b, idlers).cpu, st.resetLoad()
					time.Sleep(5 * time.Second)
					cores = append(cores, 100*(usageOf(b, idlers).cpu-began)/5)
					commands = append(commands, st.loadSince(cpu).commands/5)
				}
				p.fill(st, "bench.count", p.tasks)
				cpu := st.resetLoad()
				st.start()
				rates[beside] = append(rates[beside], float64(p.tasks)/st.measure(p.tasks).Seconds())
				redisTime[beside] = append(redisTime[beside], 1e6*st.loadSince(cpu).cpu/float64(p.tasks))
				s.report.progress("fleet: %v %.0f", beside, rates[beside][len(rates[beside])-1])
			})
		}
	}
	t := s.report.table("A busy worker beside idle ones", fmt.Sprintf("The %d idle workers together used %.0f %% of a core of this machine and %.0f Redis commands/s.",
		fleetSize, median(cores), median(commands)), "beside it", "tasks/s", "rounds", "of alone", "Redis µs/task")
	for i, label := range []string{"nobody", strconv.Itoa(fleetSize) + " idle workers"} {
		t.row(label, median(rates[i]), thousands(median(rates[i])), list(rates[i], thousands), fmt.Sprintf("%.1f %%", 100*median(rates[i])/median(rates[0])), fmt.Sprintf("%.2f", median(redisTime[i])))
	}
}

// startFleet starts the idle workers and waits until all are registered and at rest.
func (s *stage) startFleet() *testenv.Process {
	s.b.Helper()
	worker, size := s.peer.command, s.concurrency
	s.peer.command, s.concurrency = func(*stage) *exec.Cmd { return exec.Command(filepath.Join(s.bin, "fleet")) }, fleetSize
	p := s.start()
	s.peer.command, s.concurrency = worker, size
	s.await(time.Minute, "the idle workers have registered", func() bool { return s.int("ZCARD", "lovage:workers") == fleetSize })
	time.Sleep(5 * time.Second)
	return p
}
