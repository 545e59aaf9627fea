package ledger_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/ledger"
	store "github.com/lovage-go/lovage/sql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate stands between the ledger and its database, and can be shut.
type gate struct {
	to       string
	listener net.Listener

	mu   sync.Mutex
	shut bool
	open []net.Conn
	all  sync.WaitGroup
}

func newGate(t *testing.T, server *testenv.PostgresServer) (*gate, string) {
	t.Helper()
	u, err := url.Parse(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: u.Host}
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = g.listener.Addr().String()
	g.all.Go(g.serve)
	t.Cleanup(func() {
		_ = g.listener.Close()
		g.set(true)
		g.all.Wait()
	})
	return g, u.String()
}

func (g *gate) serve() {
	for {
		in, err := g.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", g.to)
		g.mu.Lock()
		if err != nil || g.shut {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			g.mu.Unlock()
			continue
		}
		g.open = append(g.open, in, out)
		g.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			g.all.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
			})
		}
	}
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for _, c := range g.open {
			_ = c.Close()
		}
		g.open = nil
	}
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := store.Migrate(t.Context(), s.DB.DB); err != nil {
		t.Fatal(err)
	}
	return s
}

func writer(t *testing.T, config ledger.Config) *ledger.Writer {
	t.Helper()
	config.Every, config.Spill = 20*time.Millisecond, t.TempDir()
	w, err := ledger.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.Start()
	return w
}

func row(id string) *ledger.Row {
	now := time.Now()
	return &ledger.Row{TaskID: id, RootID: id, Task: "t", State: ledger.Succeeded, StartedAt: &now, FinishedAt: &now, Args: "[]", Kwargs: "{}"}
}

func count(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	if err := s.DB.Get(&n, "SELECT count(*) FROM lovage.attempts"); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRowsOfATimeWithoutTheDatabaseArriveAfterwards(t *testing.T) {
	server := testenv.Postgres(t)
	database, dsn := newGate(t, server)
	s := open(t, server.DSN())
	w := writer(t, ledger.Config{Store: open(t, dsn)})
	const n = 5000
	var worst time.Duration
	for i := range n {
		switch i {
		case n / 4:
			database.set(true)
		case 3 * n / 4:
			testenv.Eventually(t, 30*time.Second, "rows are spilled", func() bool { return w.Stats().Spilled > 0 })
			database.set(false)
		}
		began := time.Now()
		w.Begin(row(fmt.Sprint(i)))
		w.End(row(fmt.Sprint(i)))
		worst = max(worst, time.Since(began))
	}
	testenv.Eventually(t, 30*time.Second, "all rows are there", func() bool { return count(t, s) == n })
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	if stats := w.Stats(); stats.Dropped != 0 || worst > 100*time.Millisecond {
		t.Errorf("%+v; the slowest Begin and End took %s", stats, worst)
	}
	t.Logf("%d rows, the database away for half of them: %+v; the slowest Begin and End took %s", n, w.Stats(), worst)
}

func TestAFullSpillDropsTheOldestAndSaysHowMany(t *testing.T) {
	server := testenv.Postgres(t)
	database, dsn := newGate(t, server)
	s, gated := open(t, server.DSN()), open(t, dsn)
	database.set(true)
	w := writer(t, ledger.Config{Store: gated, SpillBytes: 256 << 10})
	const n = 3000
	for i := range n {
		w.Add(row(fmt.Sprintf("%06d", i)))
	}
	testenv.Eventually(t, 30*time.Second, "rows are dropped", func() bool { return w.Stats().Dropped > 0 && w.Stats().Spilled == n })
	database.set(false)
	testenv.Eventually(t, 30*time.Second, "the rest arrives", func() bool { return count(t, s)+int(w.Stats().Dropped) == n })
	var first string
	if err := s.DB.Get(&first, "SELECT min(task_id) FROM lovage.attempts"); err != nil || first != fmt.Sprintf("%06d", w.Stats().Dropped) {
		t.Errorf("the oldest that is left is %s, %d were dropped, %v", first, w.Stats().Dropped, err)
	}
	t.Logf("%d rows into 256 kB: %+v", n, w.Stats())
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
}

func TestALongAttemptIsSeenWhileItRunsAndABadRowStopsNoOther(t *testing.T) {
	s := open(t, testenv.Postgres(t).DSN())
	w := writer(t, ledger.Config{Store: s})
	long := row("long")
	w.Begin(long)
	state := func(id string) (text string) {
		rows, err := ledger.Find(t.Context(), s, ledger.Filter{TaskID: id})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 1 {
			text = rows[0].State
		}
		return text
	}
	testenv.Eventually(t, 10*time.Second, "it is seen running", func() bool { return state("long") == ledger.Running })
	bad, strange := row("bad"), row("strange")
	bad.State = "no such state"
	strange.Kwargs, strange.CacheKeys = "a\x00b", []string{"k1", "k2"}
	w.Add(bad)
	w.Add(strange)
	w.End(long)
	testenv.Eventually(t, 10*time.Second, "the others are written", func() bool { return state("strange") == ledger.Succeeded && state("long") == ledger.Succeeded })
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	if stats := w.Stats(); stats.Refused != 1 {
		t.Errorf("%+v", stats)
	}
	rows, err := ledger.Tree(t.Context(), s, "strange")
	if err != nil || len(rows) != 1 || len(rows[0].CacheKeys) != 2 || rows[0].Kwargs != "a\uFFFDb" {
		t.Errorf("%+v, %v", rows, err)
	}
}
