package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/outbox"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stage struct {
	redis *testenv.RedisServer
	dsn   string
	db    *store.Store

	mu    sync.Mutex
	notes []store.Invalidation
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{redis: testenv.Redis(t), dsn: testenv.Postgres(t).DSN()}
	var err error
	if s.db, err = store.Open(t.Context(), s.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	if err := store.Migrate(t.Context(), s.db.DB.DB); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) relay(t *testing.T) {
	t.Helper()
	invalidations, err := cache.New(s.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = invalidations.Close() })
	r, err := outbox.New(outbox.Config{Store: s.db, BrokerURL: s.redis.URL(), Every: 10 * time.Millisecond, Invalidate: func(ctx context.Context, note store.Invalidation) error {
		if err := invalidations.Switched(ctx, note); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notes = append(s.notes, note)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// queued reads the tasks of a queue in the order of their sending.
func (s *stage) queued(t *testing.T, queue string) (list []*protocol.Task) {
	t.Helper()
	for _, text := range s.redis.Strings("LRANGE", queue, 0, -1) {
		task, err := protocol.ParseTask([]byte(text), protocol.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, task)
	}
	slices.Reverse(list)
	return list
}

func TestWhatIsCommittedIsSentOnceAndInOrder(t *testing.T) {
	s := newStage(t)
	for range 3 {
		s.relay(t)
	}
	const n = 1000
	for i := range n {
		err := lockutil.InTx(t.Context(), s.db.DB.DB, lockutil.TxOptions{}, func(tx *sql.Tx) error {
			if _, err := store.Enqueue(t.Context(), tx, store.Message{Queue: "q", Task: "t", Args: fmt.Appendf(nil, "[%d]", i)}); err != nil {
				return err
			}
			if i%10 == 9 {
				return context.Canceled // rolled back: never sent
			}
			return nil
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 20*time.Second, "all is sent", func() bool { return s.redis.Int("LLEN", "q") >= n*9/10 })
	// As if a relay had died between its push and its commit.
	if _, err := s.db.DB.Exec("UPDATE lovage.outbox SET sent_at = NULL"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, "all is marked", func() bool {
		var waiting int
		return s.db.DB.Get(&waiting, "SELECT count(*) FROM lovage.outbox WHERE sent_at IS NULL") == nil && waiting == 0
	})
	last := -1
	list := s.queued(t, "q")
	for _, task := range list {
		var i int
		if _, err := fmt.Sscan(string(task.Args[0]), &i); err != nil || i <= last || i%10 == 9 {
			t.Fatalf("%d after %d, %v", i, last, err)
		}
		last = i
	}
	if len(list) != n*9/10 {
		t.Errorf("%d messages", len(list))
	}
	t.Logf("%d transactions, %d committed, 3 relays, all entries sent again after a crash: %d messages, in order", n, n*9/10, len(list))
}

func TestPythonEnqueuesWithAPlainInsertAndCeleryRunsIt(t *testing.T) {
	s := newStage(t)
	s.relay(t)
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, `
import sys, psycopg
from psycopg.types.json import Jsonb
with psycopg.connect(sys.argv[1]) as conn:
    with conn.transaction():
        print(conn.execute("INSERT INTO lovage.outbox (queue, task, args, kwargs, headers, priority) VALUES (%s, %s, %s, %s, %s, 3) RETURNING id",
            ("heavy", "tasks.add", Jsonb([2]), Jsonb({"y": 3}), Jsonb({"trace_id": "t-1"}))).fetchone()[0])
    try:
        with conn.transaction():
            conn.execute("INSERT INTO lovage.outbox (queue, task) VALUES ('heavy', 'tasks.never')")
            raise RuntimeError("rolled back")
    except RuntimeError:
        pass
`, "-", s.dsn)
	const list = "heavy\x06\x163"
	testenv.Eventually(t, 10*time.Second, "it is sent", func() bool { return s.redis.Int("LLEN", list) == 1 })
	task := s.queued(t, list)[0]
	if trace, _ := task.Header("trace_id"); task.Name != "tasks.add" || task.ID+"\n" != out || string(trace) != `"t-1"` {
		t.Errorf("%+v, Python got the id %q", task, out)
	}
	if n := s.redis.Int("LLEN", "heavy"); n != 0 {
		t.Errorf("%d messages of a transaction that was rolled back", n)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "app.py"), []byte(`
import os
from celery import Celery
app = Celery(broker=os.environ["BROKER"], backend=os.environ["BROKER"])
@app.task(name="tasks.add")
def add(x, y): return x + y
`), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Python(t, testenv.Celery57).CeleryWorker(folder, []string{"BROKER=" + s.redis.URL()}, "w", "-Q", "heavy")
	c, err := client.New(client.Config{BrokerURL: s.redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var sum int
	if err := c.Result(task.ID).Get(ctx, &sum); err != nil || sum != 5 {
		t.Errorf("Celery's worker gave %d, %v", sum, err)
	}
}

func TestInvalidationsArriveInOrderThoughRedisWasDownDuringTheSwitch(t *testing.T) {
	s := newStage(t)
	s.relay(t)
	const switches = 20
	for i := range switches {
		id := fmt.Sprintf("r%d", i)
		if err := store.CreateRun(t.Context(), s.db.DB, store.Run{ID: id, Scope: "risk", CreatedBy: "test"}); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			s.redis.Kill()
		}
		if err := s.db.Switch(t.Context(), store.Switching{Scope: "risk", To: id, Who: "me", Why: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	s.redis.Restart()
	testenv.Eventually(t, 20*time.Second, "all invalidations have arrived", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.notes) >= switches
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.notes); i++ {
		if s.notes[i].Version < s.notes[i-1].Version {
			t.Errorf("switch %d came after %d", s.notes[i].Version, s.notes[i-1].Version)
		}
	}
	t.Logf("%d switches, Redis down from the sixth on: %d invalidations, in order", switches, len(s.notes))
}
