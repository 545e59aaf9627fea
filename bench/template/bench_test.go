package template

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/testenv"
	store "github.com/lovage-go/lovage/sql"
)

// role, when set, makes the test binary a worker: lovage or river.
const role = "LOVAGE_BENCH_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "lovage":
		err = serveLovage(context.Background())
	case "river":
		err = serveRiver(context.Background())
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// site is one PostgreSQL, fsync on, with a database for each measurement, and a Redis.
type site struct {
	postgres *testenv.PostgresServer
	redis    *testenv.RedisServer
	dsn      string
	db       *sql.DB
}

func newSite(b *testing.B, server *testenv.PostgresServer) *site {
	b.Helper()
	s := &site{postgres: server, redis: testenv.Redis(b), dsn: server.Database(b)}
	db, err := store.Open(b.Context(), s.dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	s.db = db.DB.DB
	if err := store.Migrate(b.Context(), s.db); err != nil {
		b.Fatal(err)
	}
	if _, err := s.db.Exec("CREATE TABLE public.bench_effects (n int PRIMARY KEY)"); err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *site) count(b *testing.B, query string) (n int) {
	b.Helper()
	if err := s.db.QueryRow(query).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// figures are what one measurement gives.
type figures struct {
	perSecond, commits, p50, p99 float64
}

// peer is one of those that are compared.
type peer struct {
	name  string
	tasks int
	// fill queues tasks from..to; start starts a worker; times reads the run times in ms.
	fill  func(b *testing.B, s *site, from, to int)
	start func(b *testing.B, s *site) *testenv.Process
	times string
}

const rounds = 3

// BenchmarkTemplate empties a filled queue of tasks with one effect each: claimed once, committed with its result, under a lock, with a ledger row. Three rounds in turn; medians.
func BenchmarkTemplate(b *testing.B) {
	server := testenv.Postgres(b, "max_connections=200")
	peers := []peer{lovagePeer(), celeryPeer(), riverPeer()}
	for range b.N {
		results := map[string][]figures{}
		for range rounds {
			for _, p := range peers {
				results[p.name] = append(results[p.name], measure(b, server, p))
			}
		}
		report(b, peers, results)
	}
}

func measure(b *testing.B, server *testenv.PostgresServer, p peer) figures {
	b.Helper()
	s := newSite(b, server)
	const warm = 200
	p.fill(b, s, p.tasks, p.tasks+warm)
	w := p.start(b, s)
	defer w.Kill()
	done := func(n int) func() bool {
		return func() bool {
			if w.Exited() {
				b.Fatalf("%s ended:\n%s", p.name, w.Output())
			}
			return s.count(b, "SELECT count(*) FROM public.bench_effects") == n
		}
	}
	testenv.Eventually(b, 2*time.Minute, p.name+" is warm", done(warm))
	w.Pause()
	p.fill(b, s, 0, p.tasks)
	commits := s.count(b, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
	began := time.Now()
	w.Resume()
	polls := 0
	finished := done(warm + p.tasks)
	testenv.Eventually(b, 5*time.Minute, p.name+" is done", func() bool { polls++; return finished() })
	took := time.Since(began)
	// The statistics come a moment late, and the ledger's last rows with them.
	testenv.Eventually(b, 20*time.Second, "the run times are there", func() bool { return s.count(b, "SELECT count(*) FROM ("+p.times+") t") >= p.tasks })
	<-time.After(1500 * time.Millisecond)
	f := figures{perSecond: float64(p.tasks) / took.Seconds()}
	f.commits = float64(s.count(b, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")-commits-polls) / float64(p.tasks)
	if err := s.db.QueryRow("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) FROM ("+p.times+") t").Scan(&f.p50, &f.p99); err != nil {
		b.Fatal(err)
	}
	if n := s.count(b, "SELECT count(*) FROM public.bench_effects"); n != p.tasks+warm {
		b.Errorf("%s: %d effects of %d tasks", p.name, n, p.tasks+warm)
	}
	return f
}

func report(b *testing.B, peers []peer, results map[string][]figures) {
	median := func(name string, of func(figures) float64) float64 {
		var values []float64
		for _, f := range results[name] {
			values = append(values, of(f))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	speed := func(f figures) float64 { return f.perSecond }
	for _, p := range peers {
		b.Logf("%-28s %8.0f tasks/s  %.2f commits/task  run p50 %.2f ms  p99 %.2f ms   rounds %.0f", p.name, median(p.name, speed),
			median(p.name, func(f figures) float64 { return f.commits }), median(p.name, func(f figures) float64 { return f.p50 }), median(p.name, func(f figures) float64 { return f.p99 }), results[p.name])
	}
	b.ReportMetric(median(peers[0].name, speed), "lovage-tasks/s")
	b.ReportMetric(median(peers[0].name, speed)/median(peers[1].name, speed), "times-celery")
	b.ReportMetric(median(peers[0].name, speed)/median(peers[2].name, speed), "times-river")
	b.ReportMetric(0, "ns/op") // says nothing here
}

// concurrency is the same for all: commits wait for the disk, not for the processor.
const concurrency = 16

func program(b *testing.B, s *site, name string) *testenv.Process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+name, "BROKER="+s.redis.URL(), "DATABASE="+s.dsn)
	return testenv.Start(b, cmd)
}

const ledgerTimes = "SELECT run_ms AS ms FROM lovage.attempts WHERE state = 'succeeded'"

func celeryPeer() peer {
	return peer{name: "Celery, redis-py, psycopg", tasks: 3000, times: ledgerTimes, fill: fillCelery,
		start: func(b *testing.B, s *site) *testenv.Process {
			return testenv.Start(b, testenv.Python(b, testenv.Celery57).Command(context.Background(), folder(b), environment(s),
				"celery", "-A", "app", "worker", "-Q", "bench", "-c", fmt.Sprint(concurrency), "--pool", "prefork", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"))
		}}
}

func environment(s *site) []string { return []string{"BROKER=" + s.redis.URL(), "DATABASE=" + s.dsn} }

func folder(b *testing.B) string {
	b.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

// fillCelery queues with Celery's own producer, whoever works.
func fillCelery(b *testing.B, s *site, from, to int) {
	b.Helper()
	testenv.Python(b, testenv.Celery57).Run(folder(b), environment(s), "", "app.py", fmt.Sprint(from), fmt.Sprint(to))
	if n, err := redis.Int(s.redis.Do("LLEN", "bench"), nil); err != nil || n != to-from {
		b.Logf("%d of %d are queued before the clock starts (%v)", n, to-from, err)
	}
}
