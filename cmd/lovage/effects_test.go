package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/once"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/worker"
)

// desk is a person at a shell, with a Redis and a database.
type desk struct {
	t     *testing.T
	redis *testenv.RedisServer
	dsn   string
	db    *store.Store
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, redis: testenv.Redis(t), dsn: testenv.Postgres(t).DSN()}
	d.run("migrate", "up")
	var err error
	if d.db, err = store.Open(t.Context(), d.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.db.Close() })
	return d
}

func (d *desk) try(args ...string) (string, error) {
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	if args[0] == "migrate" || args[0] == "runs" {
		args = append(args, "--database", d.dsn)
	} else {
		args = append(args, "--database", d.dsn, "--broker", d.redis.URL())
	}
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(d.t.Context())
	return out.String(), err
}

func (d *desk) run(args ...string) string {
	d.t.Helper()
	out, err := d.try(args...)
	if err != nil {
		d.t.Fatalf("lovage %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (d *desk) count(query string) (n int) {
	d.t.Helper()
	if err := d.db.DB.Get(&n, query); err != nil {
		d.t.Fatal(err)
	}
	return n
}

type fragile struct{ N int }

// serve runs a worker with a task that fails as long as broken is set.
func (d *desk) serve(broken *atomic.Bool) {
	d.t.Helper()
	book, err := ledger.New(ledger.Config{Store: d.db, Every: 20 * time.Millisecond, Spill: d.t.TempDir()})
	if err != nil {
		d.t.Fatal(err)
	}
	book.Start()
	locks, err := lockutil.New(lockutil.Config{URL: d.redis.URL()})
	if err != nil {
		d.t.Fatal(err)
	}
	kit, err := once.New(d.t.Context(), once.Config{Store: d.db, Locks: locks, Ledger: book})
	if err != nil {
		d.t.Fatal(err)
	}
	w, err := worker.New(worker.Config{BrokerURL: d.redis.URL(), Concurrency: 8, Logger: zap.NewNop()})
	if err != nil {
		d.t.Fatal(err)
	}
	err = once.Handle(w, kit, once.Task[fragile, int]{Name: "fragile", Key: nil, Do: func(ctx context.Context, tx *once.Tx, in fragile) (int, error) {
		if _, err := tx.Exec(ctx, "INSERT INTO public.things (n) VALUES ($1)", in.N); err != nil {
			return 0, err
		}
		if broken.Load() {
			return 0, once.Permanent("bug", errors.New("there is a bug"))
		}
		return in.N, nil
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	d.t.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, book.Stop(), kit.Close(), locks.Close()); err != nil {
			d.t.Error(err)
		}
	})
}

func TestFailedTasksAreReplayedAfterAFixEachWithOneEffect(t *testing.T) {
	d := newDesk(t)
	n := 200
	if os.Getenv("LOVAGE_FULL") != "" {
		n = 1000
	}
	if _, err := d.db.DB.Exec("CREATE TABLE public.things (n int NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	broken.Store(true)
	d.serve(&broken)
	c, err := client.New(client.Config{BrokerURL: d.redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		if _, err := c.Send(t.Context(), client.Task{Name: "fragile", Args: []any{i}, Headers: map[string]any{"trace_id": fmt.Sprint("t", i)}}); err != nil {
			t.Fatal(err)
		}
	}
	failed := func() int { return d.count("SELECT count(*) FROM lovage.attempts WHERE state = 'failed'") }
	testenv.Eventually(t, 30*time.Second, "all have failed", func() bool { return failed() == n })
	if rows := d.count("SELECT count(*) FROM public.things"); rows != 0 {
		t.Errorf("%d rows of failed tasks", rows)
	}
	broken.Store(false)
	again := []string{"ledger", "replay", "--task", "fragile", "--state", "failed", "--rate", "100000"}
	if out := d.run(again...); !strings.Contains(out, fmt.Sprintf("would send %d tasks", n)) {
		t.Errorf("dry run: %s", out)
	}
	if _, err := d.try(append(again, "--yes")...); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("without a reason: %v", err)
	}
	again = append(again, "--yes", "--why", "the bug is fixed", "--who", "me")
	d.run(again...)
	d.run(again...) // twice, as people do
	succeeded := func(reused bool) int {
		return d.count(fmt.Sprintf("SELECT count(*) FROM lovage.attempts WHERE state = 'succeeded' AND reused = %t", reused))
	}
	testenv.Eventually(t, 30*time.Second, "all have succeeded", func() bool { return succeeded(false)+succeeded(true) == 2*n })
	rows, different := d.count("SELECT count(*) FROM public.things"), d.count("SELECT count(DISTINCT n) FROM public.things")
	if rows != n || different != n || succeeded(true) != n {
		t.Errorf("%d rows, %d different, %d first results returned", rows, different, succeeded(true))
	}
	if audits := d.count("SELECT count(*) FROM lovage.audit WHERE action = 'ledger.replay' AND who = 'me'"); audits != 2*n {
		t.Errorf("%d audit rows", audits)
	}
	t.Logf("%d failed tasks replayed twice after the fix: %d rows, %d first results returned, all audited", n, rows, succeeded(true))

	one, err := ledger.Find(t.Context(), d.db, ledger.Filter{State: "succeeded", Most: 1})
	if err != nil || len(one) != 1 {
		t.Fatal(err)
	}
	d.run("ledger", "replay", one[0].TaskID, "--yes", "--new-key", "--why", "on purpose")
	testenv.Eventually(t, 30*time.Second, "under a new key the effect happens again", func() bool { return d.count("SELECT count(*) FROM public.things") == n+1 })
	if out := d.run("ledger", "show", one[0].TaskID); !strings.Contains(out, "number ") || !strings.Contains(out, "fragile:") {
		t.Errorf("show: %s", out)
	}
	if out := d.run("ledger", "find", "--error", "bug", "--since", "1h", "--most", "5"); strings.Count(out, "bug") != 5 {
		t.Errorf("find: %s", out)
	}
	lines, err := csv.NewReader(strings.NewReader(d.run("ledger", "export", "--state", "failed"))).ReadAll()
	if err != nil || len(lines) != n+1 {
		t.Errorf("export: %d lines, %v", len(lines), err)
	}
}

func TestALongHeldLockIsSeenAndBrokenWithAReason(t *testing.T) {
	d := newDesk(t)
	locks, err := lockutil.New(lockutil.Config{URL: d.redis.URL(), TTL: 300 * time.Millisecond, Owner: "stuck"})
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	held, err := locks.Lock(t.Context(), lockutil.Request{Keys: []string{"claim:1"}, Note: "task 7"})
	if err != nil {
		t.Fatal(err)
	}
	if out := d.run("locks", "list"); !strings.Contains(out, "claim:1") || !strings.Contains(out, "task 7") {
		t.Errorf("list: %s", out)
	}
	if _, err := d.try("locks", "break", "claim:1"); err == nil {
		t.Error("it was broken without a reason")
	}
	if out := d.run("locks", "break", "claim:1", "--why", "it hangs", "--who", "me"); !strings.Contains(out, "stuck") {
		t.Errorf("break: %s", out)
	}
	<-held.Context().Done()
	if !errors.Is(held.Err(), lockutil.ErrLost) {
		t.Errorf("the holder learns %v", held.Err())
	}
	_ = held.Release(t.Context())
	if n := d.count("SELECT count(*) FROM lovage.audit WHERE action = 'lock.break' AND subject = 'claim:1' AND why = 'it hangs' AND before LIKE '%task 7%'"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestRunsAndTasksAreSwitchedFromTheShell(t *testing.T) {
	d := newDesk(t)
	for _, id := range []string{"r1", "r2"} {
		if err := store.CreateRun(t.Context(), d.db.DB, store.Run{ID: id, Scope: "risk", CreatedBy: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.db.DB.Exec(`CREATE TABLE risk_events (id bigserial, prediction_run_id text, region text, score int, UNIQUE (prediction_run_id, region));
		INSERT INTO risk_events (prediction_run_id, region, score) VALUES ('r1', 'a', 1), ('r1', 'b', 2), ('r1', 'c', 3), ('r2', 'b', 2), ('r2', 'c', 4), ('r2', 'd', 5), ('r2', 'e', 6)`); err != nil {
		t.Fatal(err)
	}
	if out := d.run("runs", "diff", "r1", "r2"); out != "only in r1: 1\nonly in r2: 2\nchanged: 1\nthe same: 1\n" {
		t.Errorf("diff: %s", out)
	}
	if _, err := d.try("runs", "activate", "risk", "r1"); err == nil {
		t.Error("activated without a reason")
	}
	d.run("runs", "activate", "risk", "r1", "--why", "first")
	d.run("runs", "activate", "risk", "r2", "--why", "second")
	d.run("runs", "rollback", "risk", "--why", "wrong")
	if out := d.run("runs", "show", "risk"); !strings.Contains(out, "r1 is active, switch number 3") || !strings.Contains(out, "run.rollback") {
		t.Errorf("show: %s", out)
	}
	if out := d.run("runs", "list", "--scope", "risk"); strings.Count(out, "superseded") != 1 {
		t.Errorf("list: %s", out)
	}
	if _, err := d.try("tasks", "pause", "t"); err == nil {
		t.Error("paused without a reason")
	}
	d.run("tasks", "throttle", "t", "60", "--why", "slow down")
	d.run("tasks", "pause", "t", "--why", "stop")
	if out := d.run("tasks", "list"); !strings.Contains(out, "true") || !strings.Contains(out, "stop") {
		t.Errorf("list: %s", out)
	}
	d.run("tasks", "resume", "t", "--why", "go on")
	if n := d.count("SELECT count(*) FROM lovage.audit WHERE subject = 't'"); n != 3 {
		t.Errorf("%d audit rows", n)
	}
}
