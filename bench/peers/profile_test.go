package peers

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// BenchmarkHotPath runs many tasks that only count themselves and leaves CPU profiles of the worker in artifacts/: see docs/performance.md.
func BenchmarkHotPath(b *testing.B) {
	s, p := newSite(b), lovage()
	p.tasks = 1_000_000
	for _, results := range []bool{false, true} {
		name := "ignored"
		if results {
			name = "stored"
		}
		b.Run(name, func(b *testing.B) {
			file := filepath.Join(testenv.Root(b), "artifacts", "lovage-"+name+".prof")
			s.on(b, p, options{results: results, tasks: p.tasks, env: []string{"PROFILE=" + file}}, func(st *stage) {
				p.fill(st, "bench.count", p.tasks)
				cpu := st.resetLoad()
				w := st.start()
				took := st.measure(p.tasks)
				used := usageOf(b, w)
				b.ReportMetric(float64(p.tasks)/took.Seconds(), "tasks/s")
				b.ReportMetric(1e6*st.loadSince(cpu).cpu/float64(p.tasks), "redis-µs/task")
				b.ReportMetric(1e6*used.cpu/float64(p.tasks), "worker-µs/task")
				b.ReportMetric(0, "ns/op")
				w.Signal(syscall.SIGTERM)
				if err := w.Wait(10 * time.Second); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
