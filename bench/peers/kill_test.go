package peers

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	killTasks = 20_000
	kills     = 20
)

// kill counts what is lost when a worker is killed 20 times (SIGKILL to all its processes) and started again. Nothing is timed, so the peers run at the same time.
func kill(b *testing.B, s *site) {
	late := celery("prefork")
	late.name = "Celery prefork, acks_late"
	late.concurrency = 4
	early := celery("prefork")
	early.name, early.concurrency = "Celery prefork", 4
	peers := []peer{early, late, asynqPeer(), machineryPeer(), lovage()}
	type outcome struct {
		once, lost, more int
		recovery         time.Duration
	}
	outcomes := make([]outcome, len(peers))
	var group sync.WaitGroup
	var stages []*stage
	for i, p := range peers {
		o := options{tasks: killTasks, concurrency: 10, pause: 10 * time.Millisecond}
		if i < 2 {
			o.concurrency, o.pause, o.env = p.concurrency, 4*time.Millisecond, []string{"VISIBILITY_TIMEOUT=20"}
		}
		if i == 1 {
			o.env = append(o.env, "ACKS_LATE=1")
		}
		st, done := s.open(b, p, o)
		defer done()
		p.fill(st, "bench.slow", killTasks)
		stages = append(stages, st)
	}
	for i, st := range stages {
		group.Go(func() {
			o := &outcomes[i]
			o.recovery = st.killAndFinish()
			for t := range killTasks {
				switch n := st.record.At(t); {
				case n == 0:
					o.lost++
				case n == 1:
					o.once++
				default:
					o.more++
				}
			}
			s.report.progress("kill: %s lost %d", st.peer.name, o.lost)
		})
	}
	group.Wait()
	t := s.report.table("20,000 tasks under 20 kill -9", "The handlers take 4 ms (Celery, with a visibility timeout of 20 s in place of an hour) or 10 ms. Recovery is the time from the last start of the worker to the end of the last task.",
		"peer", "ran once", "more than once", "lost", "recovery s")
	for i, p := range peers {
		o := outcomes[i]
		t.row(p.name, float64(o.lost), strconv.Itoa(o.once), strconv.Itoa(o.more), strconv.Itoa(o.lost), strconv.Itoa(int(o.recovery.Seconds())))
	}
	if lost := outcomes[len(peers)-1].lost; lost > 0 {
		b.Errorf("Lovage lost %d tasks", lost)
	}
}

// killAndFinish kills the worker again and again in the middle of its work, then lets the last one finish, and tells how long that one took.
func (s *stage) killAndFinish() time.Duration {
	s.start()
	for range kills {
		reached := s.ran() + 50
		s.until(time.Minute, func() bool { return s.ran() >= reached })
		time.Sleep(rand.N(400 * time.Millisecond))
		s.workers[0].Kill()
		s.workers = s.workers[:0]
		s.start()
	}
	began := time.Now()
	// Lost tasks are those that nobody holds any more. asynq retries what a dead server held after up to a minute.
	s.until(4*time.Minute, func() bool { return s.peer.left(s) == 0 && s.ran() > 0 })
	last := time.Since(began)
	s.until(10*time.Second, func() bool { return s.ran() == killTasks }) // the last handlers
	return last
}

// until waits for a condition, but not for ever: here the outcome tells.
func (s *stage) until(limit time.Duration, condition func() bool) {
	for deadline := time.Now().Add(limit); !condition() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
}

// ran is how many tasks have run.
func (s *stage) ran() int {
	n := 0
	for i := range s.tasks {
		if s.record.At(i) > 0 {
			n++
		}
	}
	return n
}
