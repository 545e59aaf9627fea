package peers

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/examples/quickstart/risk"
)

// heavy runs the demo's risk score, with its default size, over a queue: in Go, in plain Python and in numpy. The results of the same inputs must be equal.
func heavy(b *testing.B, s *site) {
	contenders := []struct {
		label, task string
		peer        peer
		tasks       int
	}{
		{"Celery prefork, plain Python", "risk.score", celery("prefork"), 8},
		{"Celery prefork, numpy", "risk.vectorized", celery("prefork"), 80},
		{"Lovage", "risk.score", lovage(), 800},
	}
	rates := make([][]float64, len(contenders))
	scores := map[int]risk.Score{}
	for range s.rounds {
		for i, c := range contenders {
			s.on(b, c.peer, options{results: true, tasks: 1, env: []string{"OMP_NUM_THREADS=1"}}, func(st *stage) {
				message := s.capture(b, shape{task: c.task}).message
				st.start()
				st.push("LPUSH", queue, 2*st.concurrency, func(i int) []byte { return message(c.tasks + i) }) // warms up
				st.await(2*time.Minute, "the first results are there", func() bool { return st.stored(c.tasks, 2*st.concurrency) })
				began := time.Now()
				st.push("LPUSH", queue, c.tasks, message)
				st.await(2*time.Minute, "the results are there", func() bool { return st.peer.left(st) == 0 && st.stored(0, c.tasks) })
				rates[i] = append(rates[i], float64(c.tasks)/time.Since(began).Seconds()/float64(runtime.NumCPU()))
				s.report.progress("heavy: %s %.2f", c.label, rates[i][len(rates[i])-1])
				st.compare(c.label, contenders[0].tasks, scores)
			})
		}
	}
	t := s.report.table("A CPU-heavy handler", "The demo's storm risk (64 x 64 cells, 200 runs), tasks a second and core. Equal inputs gave equal results.", "handler", "tasks/s per core", "rounds", "Lovage is")
	t.unit = "tasks/s per core"
	two := func(v float64) string { return fmt.Sprintf("%.2f", v) }
	ours := median(rates[len(rates)-1])
	for i, c := range contenders {
		t.row(c.label, median(rates[i]), two(median(rates[i])), list(rates[i], two), times(ours/median(rates[i])))
	}
}

// stored tells whether the results of tasks from..from+n-1 are all there.
func (s *stage) stored(from, n int) bool {
	s.b.Helper()
	keys := redis.Args{}
	for i := range n {
		keys = keys.Add("celery-task-meta-" + taskID(from+i))
	}
	return s.int("EXISTS", keys...) == n
}

// compare holds the first results to those that others have computed from the same inputs.
func (s *stage) compare(who string, n int, scores map[int]risk.Score) {
	s.b.Helper()
	for i := range n {
		data, err := redis.Bytes(s.do("GET", "celery-task-meta-"+taskID(i)), nil)
		if err != nil {
			s.b.Fatal(err)
		}
		var document struct {
			Status string
			Result risk.Score
		}
		if err := json.Unmarshal(data, &document); err != nil || document.Status != "SUCCESS" {
			s.b.Fatalf("%s: result of task %d: %v: %s", who, i, err, data)
		}
		if known, ok := scores[i]; ok && known != document.Result {
			s.b.Fatalf("%s computed %+v for seed %d, others %+v", who, document.Result, i, known)
		}
		scores[i] = document.Result
	}
}
