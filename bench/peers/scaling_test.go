package peers

import (
	"fmt"
	"testing"
	"time"
)

// scale is one row of a scaling table.
type scale struct {
	label string
	options
	task    string
	tasks   int // that are measured
	behind  int // more that wait behind them
	fill    int // payload in bytes
	parked  int // that are not due
	workers int
	rounds  int
}

// figures of one round: tasks a second, microseconds of Redis' and of the workers' CPU per task, commands per task.
type figures struct{ rate, redis, worker, commands []float64 }

// scaling varies one thing at a time.
func scaling(b *testing.B, s *site) {
	const n = 200_000
	var rows []scale
	for _, w := range []int{1, 2, 4, 8} {
		rows = append(rows, scale{label: fmt.Sprint(w), workers: w, tasks: n})
	}
	s.scale(b, "Scaling: workers", "Processes on this machine, two handlers each.", rows)

	rows = nil
	for _, c := range []int{1, 10, 100, 1000} {
		rows = append(rows, scale{label: fmt.Sprint(c), tasks: n, options: options{concurrency: c}})
	}
	s.scale(b, "Scaling: concurrency, handlers that do nothing", "One worker.", rows)

	rows = nil
	for _, c := range []int{1, 10, 100, 1000} {
		rows = append(rows, scale{label: fmt.Sprint(c), task: "bench.slow", tasks: min(200*c, 100_000), options: options{concurrency: c, pause: 10 * time.Millisecond}})
	}
	s.scale(b, "Scaling: concurrency, handlers that wait 10 ms", "One worker; at most 100 tasks a second for each handler.", rows)

	rows = nil
	lengths := []int{1_000, 10_000, 100_000, 1_000_000}
	if s.full {
		lengths = append(lengths, 10_000_000)
	}
	for _, l := range lengths {
		rows = append(rows, scale{label: thousands(float64(l)), tasks: n, behind: l, rounds: once(l >= 1_000_000)})
	}
	s.scale(b, "Scaling: queue length", "The first 200,000 tasks of a queue on which that many more wait.", rows)

	rows = nil
	for _, size := range []int{100, 1_000, 10_000, 100_000, 1_000_000} {
		rows = append(rows, scale{label: thousands(float64(size)), tasks: min(n, 400_000_000/size), fill: size})
	}
	s.scale(b, "Scaling: payload", "Bytes of the second argument, before base64.", rows)

	rows = nil
	for _, parked := range []int{0, 10_000, 100_000, 1_000_000} {
		rows = append(rows, scale{label: thousands(float64(parked)), tasks: n, parked: parked, rounds: once(parked >= 1_000_000)})
	}
	s.scale(b, "Scaling: parked tasks", "Tasks with an ETA of tomorrow, taken and parked before.", rows)
}

// once is for rows that take long: a single round.
func once(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (s *site) scale(b *testing.B, title, note string, rows []scale) {
	b.Helper()
	measured := make([]figures, len(rows))
	for round := range s.rounds {
		for i, row := range rows {
			if row.rounds > 0 && round >= row.rounds {
				continue
			}
			s.scaleRow(b, row, &measured[i])
			s.report.progress("%s %s: %.0f", title, row.label, measured[i].rate[len(measured[i].rate)-1])
		}
	}
	t := s.report.table(title, note, "", "tasks/s", "rounds", "Redis µs/task", "worker µs/task", "commands/task")
	one := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	for i, row := range rows {
		m := measured[i]
		t.row(row.label, median(m.rate), thousands(median(m.rate)), list(m.rate, thousands), one(median(m.redis)), one(median(m.worker)), one(median(m.commands)))
	}
}

func (s *site) scaleRow(b *testing.B, row scale, m *figures) {
	b.Helper()
	p, task, o := lovage(), row.task, row.options
	if task == "" {
		task = "bench.count"
	}
	o.tasks = row.tasks + row.behind
	left := p.left
	p.left = func(st *stage) int { return left(st) - row.parked - row.behind }
	if row.behind > 0 {
		p.left = func(*stage) int { return 0 } // it goes on with those behind
	}
	s.on(b, p, o, func(st *stage) {
		if row.parked > 0 {
			st.push("LPUSH", queue, row.parked, s.capture(b, shape{task: task, ignored: true, parked: true}).message)
			st.start()
			st.await(3*time.Minute, "all are parked", func() bool { return st.int("ZCARD", "lovage:parked:"+queue) == row.parked })
		}
		message := s.capture(b, shape{task: task, ignored: true, fill: row.fill}).message
		st.push("LPUSH", queue+".filled", o.tasks, message)
		before := st.resetLoad()
		used := 0.0
		for _, w := range st.workers {
			used -= usageOf(b, w).cpu
		}
		st.do("RENAME", queue+".filled", queue)
		for len(st.workers) < max(1, row.workers) {
			st.start()
		}
		took := st.measure(row.tasks)
		l := st.loadSince(before)
		for _, w := range st.workers {
			used += usageOf(b, w).cpu
		}
		n := float64(row.tasks)
		m.rate = append(m.rate, n/took.Seconds())
		m.redis = append(m.redis, 1e6*l.cpu/n)
		m.worker = append(m.worker, 1e6*used/n)
		m.commands = append(m.commands, l.commands/n)
	})
}
