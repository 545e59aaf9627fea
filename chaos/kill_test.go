package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// killing kills a random process of the fleet every so often and starts another in its place, until enough have been killed or nothing is left to run.
func (f *field) killing(fleet []*testenv.Process, starters []func() *testenv.Process, every time.Duration, most int) (kills int) {
	f.t.Helper()
	for kills < most && !f.settled() {
		<-time.After(every) // the fault's rhythm
		n := rand.IntN(len(fleet))
		f.harm(fleet[n])
		fleet[n].Kill()
		kills++
		fleet[n] = starters[n]()
	}
	return kills
}

// fleet starts n workers and gives them with what starts a successor of each.
func (f *field) fleet(n int, o options) (fleet []*testenv.Process, starters []func() *testenv.Process) {
	f.t.Helper()
	for range n {
		fleet = append(fleet, f.start(o))
		starters = append(starters, func() *testenv.Process { return f.start(o) })
	}
	return fleet, starters
}

// TestKill: four workers, kill -9 on a random one every second while tasks of a few milliseconds run.
func TestKill(t *testing.T) {
	f := newField(t)
	f.send(works("k", sized(200_000, 4_000), sized(5.0, 4.0))...)
	fleet, starters := f.fleet(4, f.options())
	kills := f.killing(fleet, starters, sized(time.Second, 100*time.Millisecond), sized(1_000, 10))
	if least := sized(60, 5); kills < least {
		t.Errorf("only %d kills", kills)
	}
	f.awaitSettled(2 * time.Minute)
	f.verdict(fmt.Sprintf("%d kills", kills))
}

// TestKillAtOnce: the whole fleet at once, again and again: what it held is taken over by the next.
func TestKillAtOnce(t *testing.T) {
	f := newField(t)
	f.send(works("a", sized(50_000, 2_000), 4)...)
	kills := 0
	for range sized(20, 3) {
		fleet, _ := f.fleet(3, f.options())
		before := f.ledger.Int("LLEN", "runs")
		testenv.Eventually(t, time.Minute, "the fleet works", func() bool { return f.settled() || f.ledger.Int("LLEN", "runs") > before+50 })
		for _, p := range fleet {
			f.harm(p)
			p.Kill()
			kills++
		}
	}
	f.fleet(3, f.options())
	f.awaitSettled(2 * time.Minute)
	f.verdict(fmt.Sprintf("%d kills", kills))
}

// startPython runs a Celery worker of the fleet.
func (f *field) startPython(visibilityTimeout int) *testenv.Process {
	f.t.Helper()
	folder, err := filepath.Abs("testdata")
	if err != nil {
		f.t.Fatal(err)
	}
	p := testenv.Python(f.t, testenv.Celery57).CeleryWorker(folder, []string{
		"BROKER=" + f.server.URL(), "LEDGER=" + f.ledger.URL(), "SOLO=1", fmt.Sprint("VISIBILITY_TIMEOUT=", visibilityTimeout),
	}, "py"+fmt.Sprint(rand.Int64()))
	f.join(p)
	return p
}

// TestMixedFleet: half of the fleet is Python. First only Lovage's half is killed: nothing may be lost. Then only Python's: what is lost then fell into the gap between its
// BRPOP and its record, and is told apart.
func TestMixedFleet(t *testing.T) {
	f := newField(t)
	timeout := sized(30, 6)
	o := f.options()
	fleet, starters := f.fleet(2, o)
	var pythons []*testenv.Process
	var pythonStarters []func() *testenv.Process
	for range 2 {
		pythons = append(pythons, f.startPython(timeout))
		pythonStarters = append(pythonStarters, func() *testenv.Process { return f.startPython(timeout) })
	}

	f.send(works("go", sized(40_000, 2_000), 4)...)
	kills := f.killing(fleet, starters, sized(time.Second, 150*time.Millisecond), sized(1_000, 5))
	f.awaitSettled(3 * time.Minute)
	first := f.verdict(fmt.Sprintf("%d kills of Lovage workers", kills))
	shared := 0
	for _, p := range pythons {
		shared += first.byPID[p.PID()]
	}
	if shared == 0 || shared == first.runs {
		t.Errorf("of %d runs Python workers made %d: the fleet was not mixed", first.runs, shared)
	}

	f.send(works("py", sized(40_000, 1_500), 4)...)
	kills = f.killing(pythons, pythonStarters, sized(3*time.Second, 2*time.Second), sized(1_000, 3))
	f.awaitSettled(time.Duration(timeout)*time.Second + 3*time.Minute)
	second := f.count()
	t.Logf("sent %d, ran once %d, ran twice or more %d, settled twice %d, %d kills of Python workers; lost in Python's own gap: %d",
		second.sent, second.once, second.twice, second.doubled, kills, second.lost)
	if second.doubled > 0 {
		t.Errorf("%d doubled", second.doubled)
	}
}

// TestPause: a worker is stopped past its lease and goes on: what it then wants to settle is refused, and no follow-up is there twice.
func TestPause(t *testing.T) {
	f := newField(t)
	o := f.options()
	o.Lease = sized(3*time.Second, 1500*time.Millisecond)
	f.send(works("p", sized(60_000, 3_000), 4)...)
	fleet, _ := f.fleet(3, o)
	pauses := 0
	for range sized(10, 2) {
		p := fleet[rand.IntN(len(fleet))]
		before := f.ledger.Int("LLEN", "runs")
		testenv.Eventually(t, time.Minute, "the fleet works", func() bool { return f.settled() || f.ledger.Int("LLEN", "runs") > before+100 })
		f.harm(p)
		p.Pause()
		pauses++
		testenv.Eventually(t, time.Minute, "others find its lease lapsed", func() bool { return f.server.Int("ZCARD", "lovage:fenced") > 0 })
		<-time.After(o.Lease / 2)
		p.Resume()
		f.send(works(fmt.Sprint("p", pauses, "-"), 500, 4)...)
	}
	f.awaitSettled(2 * time.Minute)
	f.verdict(fmt.Sprintf("%d pauses past the lease", pauses))
}

// TestLongTask: a task that takes six visibility timeouts of the Python workers beside it runs once.
func TestLongTask(t *testing.T) {
	t.Parallel()
	f := newField(t)
	timeout := sized(30, 5)
	worker := f.start(f.options())
	f.send(work{ID: "long", Millis: sized(180_000.0, 30_000.0)}) // while the Lovage worker is alone
	testenv.Eventually(t, 30*time.Second, "the long task runs", func() bool { return f.ledger.Int("LLEN", "runs") == 1 })
	f.startPython(timeout)
	f.startPython(timeout)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	for n := 0; f.ledger.Int("LLEN", "runs") < 2+2*n && ctx.Err() == nil; n++ { // the Python workers are at work all the time
		f.send(work{ID: fmt.Sprint("short", n), Millis: 1})
		testenv.Eventually(t, time.Minute, "a short task runs", func() bool { return f.ledger.Int("LLEN", "runs") >= 3+2*n })
		<-time.After(500 * time.Millisecond)
	}
	f.awaitSettled(4 * time.Minute)
	result := f.verdict(fmt.Sprintf("a task of %.0f s beside Python workers with visibility_timeout=%d", sized(180.0, 30.0), timeout))
	if result.twice != 0 || result.byPID[worker.PID()] == 0 {
		t.Errorf("%d tasks ran twice; the Lovage worker ran %d", result.twice, result.byPID[worker.PID()])
	}
}
