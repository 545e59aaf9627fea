package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// latency sends one task at a time to an idle worker and reads when its handler began.
func latency(b *testing.B, s *site) {
	type figures struct{ p50, p99 []float64 }
	peers := []peer{celery("prefork"), celery("threads"), celery("solo"), asynqPeer(), machineryPeer(), riverPeer(), lovage()}
	results := make([]figures, len(peers))
	for range s.rounds {
		for i, p := range peers {
			samples, pause := 500, 10*time.Millisecond
			if p.name == "asynq" {
				samples, pause = 30, time.Second // it polls each second: sent at random times
			}
			s.on(b, p, options{tasks: samples + 20}, func(st *stage) {
				took := oneByOne(st, samples, pause)
				results[i].p50 = append(results[i].p50, took[len(took)/2])
				results[i].p99 = append(results[i].p99, took[len(took)*99/100])
				s.report.progress("latency: %s %.3f %.3f", p.name, took[len(took)/2], took[len(took)*99/100])
			})
		}
	}
	ours := results[len(peers)-1]
	t := s.report.table("Latency, enqueue to handler start, one task at a time", "Milliseconds. asynq polls once a second and has 30 tasks a round, the others 500.",
		"peer", "p50", "p99", "rounds (p50)", "Lovage's p50 is", "Lovage's p99 is")
	t.unit = "ms, p50"
	for i, p := range peers {
		p50, p99 := median(results[i].p50), median(results[i].p99)
		t.row(p.name, p50, millis(p50), millis(p99), list(results[i].p50, millis), fmt.Sprintf("%.2f", median(ours.p50)/p50), fmt.Sprintf("%.2f", median(ours.p99)/p99))
	}
}

// oneByOne returns the latencies in milliseconds, sorted. The first tasks only warm up.
func oneByOne(s *stage, samples int, pause time.Duration) []float64 {
	s.start()
	warm := s.tasks - samples
	var took []float64
	for i := range s.tasks {
		if i >= warm {
			time.Sleep(rand.N(pause))
		}
		sent := time.Now()
		s.peer.send(s, "bench.stamp", i)
		for deadline := sent.Add(time.Minute); s.record.At(i) == 0; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(deadline) {
				s.b.Fatalf("%s: task %d has not begun\n%s", s.peer.name, i, s.workers[0].Output())
			}
		}
		if i >= warm {
			took = append(took, float64(s.record.At(i)-sent.UnixNano())/1e6)
		}
	}
	slices.Sort(took)
	return took
}
