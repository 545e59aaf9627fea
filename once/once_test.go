package once

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
)

// trigger sends half of n copies of one claim from Python and half from Go, all before a worker starts, so that they meet.
func (s *stage) trigger(t *testing.T, policy string, n int) []*client.AsyncResult {
	t.Helper()
	script := `
import sys, json
from celery import Celery
app = Celery(broker=sys.argv[1], backend=sys.argv[1])
for i in range(int(sys.argv[3])):
    print(app.send_task("claim", kwargs={"policy": sys.argv[2], "amount": 7, "access_mode": "public"}, headers={"trace_id": "t%d" % i}).id)
`
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, script, "-", s.redis.URL(), policy, fmt.Sprint(n/2))
	var results []*client.AsyncResult
	for _, id := range strings.Fields(out) {
		results = append(results, s.client.Result(id))
	}
	for len(results) < n {
		results = append(results, s.send(t, claim(policy, 0)))
	}
	return results
}

func TestManyTriggersOfOneClaimMakeOneRowAndAllGetItsAnswer(t *testing.T) {
	s := newStage(t)
	n := size(200, 1000)
	for _, guards := range []struct {
		name   string
		noLock bool
		change string
	}{
		{"both guards", false, ""},
		{"the database guard alone", true, ""},
		{"the Redis guard alone", false, "ALTER TABLE lovage.effects DROP CONSTRAINT effects_once"},
	} {
		t.Run(guards.name, func(t *testing.T) {
			if guards.change != "" {
				s.exec(t, guards.change)
			}
			policy := strings.ReplaceAll(guards.name, " ", "-")
			results := s.trigger(t, policy, n)
			for range 2 {
				p := s.worker(t, setup{NoLock: guards.noLock, Concurrency: 8})
				defer p.Kill()
			}
			answers := map[claimOut]int{}
			for _, r := range results {
				var out claimOut
				if err := wait(t, r, &out); err != nil {
					t.Fatal(err)
				}
				answers[out]++
			}
			rows := s.count(t, "SELECT count(*) FROM claims WHERE policy = $1", policy)
			if rows != 1 || len(answers) != 1 {
				t.Errorf("%d rows, %d different answers: %v", rows, len(answers), answers)
			}
			t.Logf("%d triggers, half from Python, half from Go: %d row, %d equal answers", n, rows, n)
		})
	}
}

func TestAnEffectHappensOnceWhereverItsWorkerIsKilled(t *testing.T) {
	s := newStage(t)
	rounds := size(3, 100)
	for _, step := range []string{"before lock", "in handler", "before commit", "after commit", "after settle"} {
		t.Run(step, func(t *testing.T) {
			rows, lost := 0, 0
			for i := range rounds {
				policy := fmt.Sprintf("%s-%d", strings.ReplaceAll(step, " ", "-"), i)
				file := killFile(t, s, policy)
				sent := s.send(t, claim(policy, 0))
				p := s.worker(t, setup{KillAt: step, KillFile: file, TTL: 700 * time.Millisecond})
				if step == "after settle" {
					if err := wait(t, sent, nil); err != nil {
						t.Fatal(err)
					}
					p.Kill()
				} else if err := p.Wait(30 * time.Second); err == nil {
					t.Fatal("the worker was not killed")
				}
				p = s.worker(t, setup{TTL: 700 * time.Millisecond})
				var first, second claimOut
				if err := wait(t, sent, &first); err != nil {
					t.Fatal(err)
				}
				if err := wait(t, s.send(t, claim(policy, 0)), &second); err != nil || first != second {
					t.Errorf("a second message gets %+v, the first got %+v, %v", second, first, err)
				}
				p.Signal(syscall.SIGTERM)
				if err := p.Wait(30 * time.Second); err != nil {
					t.Error(err)
				}
				n := s.count(t, "SELECT count(*) FROM claims WHERE policy = $1 AND id = $2 AND nonce = $3", policy, first.ID, first.Nonce)
				if all := s.count(t, "SELECT count(*) FROM claims WHERE policy = $1", policy); n != 1 || all != 1 {
					t.Fatalf("%d rows, %d of them as the result says", all, n)
				}
				rows += n
				lost += s.truth(t, sent.ID, step)
			}
			t.Logf("killed %d times %s: %d claims, each one row with the result's content; %d attempts in the ledger as lost with their worker", rounds, step, rows, lost)
		})
	}
}

// truth compares the ledger of a task whose first worker was killed with what happened, and counts the attempts that are noted as lost.
func (s *stage) truth(t *testing.T, id, step string) int {
	t.Helper()
	succeeded := s.count(t, "SELECT count(*) FROM lovage.attempts WHERE task_id = $1 AND state = 'succeeded'", id)
	reused := s.count(t, "SELECT count(*) FROM lovage.attempts WHERE task_id = $1 AND state = 'succeeded' AND reused", id)
	lost := s.count(t, "SELECT count(*) FROM lovage.attempts WHERE task_id = $1 AND state = 'lost'", id)
	want := [3]int{1, 0, 1}
	switch step {
	case "after commit": // the effect was the killed one's
		want = [3]int{1, 1, 1}
	case "after settle":
		// The only attempt was settled, and may have been killed before its row was written: the effect is there, the row may not be.
		if succeeded > 1 || reused+lost > 0 {
			t.Errorf("after settle: %d succeeded, %d reused, %d lost", succeeded, reused, lost)
		}
		return lost
	}
	if got := [3]int{succeeded, reused, lost}; got != want {
		t.Errorf("%s: succeeded, reused, lost are %d, want %d", step, got, want)
	}
	return lost
}

func TestTheHolderOfALostLockCannotWrite(t *testing.T) {
	s := newStage(t)
	rounds := size(2, 20)
	for _, how := range []string{"paused past its lease", "Redis flushed"} {
		refused, rows := 0, 0
		for i := range rounds {
			policy := fmt.Sprintf("%s-%d", strings.ReplaceAll(how, " ", "-"), i)
			// The database's lock on the row of the effect would make the second worker wait for the first, and hide what is tested: the handler waits before it writes.
			sent := s.send(t, claim(policy, 1500))
			first := s.worker(t, setup{TTL: 500 * time.Millisecond})
			testenv.Eventually(t, 20*time.Second, "the handler runs", func() bool {
				return s.count(t, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'INSERT INTO claims%'") == 1
			})
			if how == "Redis flushed" {
				s.redis.Do("FLUSHALL") // the message is gone, too: it is sent again, as its producer would
				sent = s.send(t, claim(policy, 0))
			} else {
				first.Pause()
			}
			second := s.worker(t, setup{TTL: 500 * time.Millisecond})
			if how != "Redis flushed" {
				testenv.Eventually(t, 20*time.Second, "the lease has lapsed and the second worker waits", func() bool {
					return s.count(t, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1
				})
				first.Resume()
			}
			var out claimOut
			if err := wait(t, sent, &out); err != nil {
				t.Fatal(err)
			}
			for _, p := range []*testenv.Process{first, second} {
				p.Signal(syscall.SIGTERM)
				_ = p.Wait(30 * time.Second)
			}
			if n := s.count(t, "SELECT count(*) FROM claims WHERE policy = $1", policy); n != 1 {
				t.Errorf("%s: %d rows", how, n)
			}
			rows += s.count(t, "SELECT count(*) FROM claims WHERE policy = $1 AND nonce = $2", policy, out.Nonce)
			refused += s.count(t, "SELECT count(*) FROM lovage.attempts WHERE kwargs LIKE $1 AND error_code IN ('lock_lost', 'fenced')", "%"+policy+"%")
		}
		if rows != rounds || refused < rounds {
			t.Errorf("%s: %d of %d rows are the second holder's, %d writes of the old one were refused", how, rows, rounds, refused)
		}
		t.Logf("%s, %d times: %d writes of the old holder refused, %d rows, all by the new one", how, rounds, refused, rows)
	}
}

func TestALargeTaskThatIsKilledGoesOnFromItsLastBatch(t *testing.T) {
	s := newStage(t)
	rows := size(100_000, 1_000_000)
	sent := s.send(t, client.Task{Name: "many", Kwargs: map[string]any{"rows": rows, "size": rows / 50, "access_mode": "public"}})
	const kills = 5
	for i := range kills {
		p := s.worker(t, setup{TTL: 500 * time.Millisecond})
		testenv.Eventually(t, time.Minute, "some batches are done", func() bool { return s.count(t, "SELECT count(*) FROM numbers") >= (i+1)*rows/8 })
		p.Kill()
	}
	s.worker(t, setup{TTL: 500 * time.Millisecond})
	var n int
	if err := wait(t, sent, &n); err != nil {
		t.Fatal(err)
	}
	all, distinct := s.count(t, "SELECT count(*) FROM numbers"), s.count(t, "SELECT count(DISTINCT n) FROM numbers")
	counted := s.count(t, "SELECT rows FROM lovage.effects WHERE task = 'many'")
	if n != rows || all != rows || distinct != rows || counted != rows {
		t.Errorf("result %d, %d rows, %d of them different, %d counted", n, all, distinct, counted)
	}
	t.Logf("%d rows in batches of %d, killed %d times: %d rows, each once", rows, rows/50, kills, all)
}

func TestAKeyIsNotReusedWithAnotherInputAndModesDoNotShareIt(t *testing.T) {
	s := newStage(t)
	s.worker(t, setup{})
	var first, other claimOut
	if err := wait(t, s.send(t, claim("p", 0)), &first); err != nil {
		t.Fatal(err)
	}
	changed := claim("p", 0)
	changed.Kwargs["amount"] = 8
	var failed *client.TaskError
	if err := wait(t, s.send(t, changed), nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), "idempotency key") {
		t.Errorf("the same key with another amount: %v", err)
	}
	broker := claim("p", 0)
	broker.Kwargs["access_mode"] = "broker"
	if err := wait(t, s.send(t, broker), &other); err != nil || other.ID == first.ID {
		t.Errorf("another mode got %+v, the first one %+v, %v", other, first, err)
	}
	bad := claim("p", 0)
	bad.Kwargs["access_mode"] = "x'; DROP TABLE claims; --"
	if err := wait(t, s.send(t, bad), nil); !errors.As(err, &failed) || failed.Exception.Type != "DimensionError" || !strings.Contains(err.Error(), "access_mode_invalid") {
		t.Errorf("SQL as a mode: %v", err)
	}
	delete(bad.Kwargs, "access_mode")
	if err := wait(t, s.send(t, bad), nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), "access_mode_missing") {
		t.Errorf("without a mode: %v", err)
	}
	testenv.Eventually(t, 10*time.Second, "the refusals are in the ledger, and took no lock", func() bool {
		return s.count(t, "SELECT count(*) FROM lovage.attempts WHERE state = 'refused' AND lock_key = '' AND error_code LIKE 'access_mode_%'") == 2
	})
}
