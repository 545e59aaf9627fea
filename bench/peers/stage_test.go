package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/bench/peers/record"
	"github.com/lovage-go/lovage/internal/testenv"
)

// queue is the name of the queue in every run.
const queue = "bench"

// site is what all runs share.
type site struct {
	bin                  string // the workers' programs
	python               *testenv.Venv
	testdata, quickstart string
	templates            map[shape]*template
	rounds               int
	full                 bool
	report               *report
}

func newSite(b *testing.B) *site {
	b.Helper()
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		b.Fatal(err)
	}
	s := &site{
		bin: b.TempDir(), python: testenv.Python(b, testenv.Celery57), testdata: testdata, rounds: 3, full: os.Getenv("FULL") != "",
		quickstart: filepath.Join(testenv.Root(b), "examples", "quickstart"), templates: map[shape]*template{},
	}
	if text := os.Getenv("ROUNDS"); text != "" {
		if s.rounds, err = strconv.Atoi(text); err != nil || s.rounds < 1 {
			b.Fatalf("ROUNDS=%s is no number of rounds", text)
		}
	}
	if out, err := exec.Command("go", "build", "-o", s.bin, "./workers/...").CombinedOutput(); err != nil {
		b.Fatalf("build the workers: %v\n%s", err, out)
	}
	return s
}

// options are what differs between runs.
type options struct {
	results     bool
	tasks       int
	concurrency int // default: the peer's
	pause       time.Duration
	env         []string
}

// stage is one run: servers of its own, and the workers on it.
type stage struct {
	b *testing.B
	*site
	peer peer
	options
	redis    *testenv.RedisServer
	conn     redis.Conn
	postgres *testenv.PostgresServer
	dsn      string // of PostgreSQL
	record   *record.Record
	path     string
	workers  []*testenv.Process
}

// on sets up a run, and takes it down after use.
func (s *site) on(b *testing.B, p peer, o options, use func(*stage)) {
	b.Helper()
	st, done := s.open(b, p, o)
	defer done()
	use(st)
}

// open sets up a run; done takes it down.
func (s *site) open(b *testing.B, p peer, o options) (st *stage, done func()) {
	b.Helper()
	st = &stage{b: b, site: s, peer: p, options: o, path: filepath.Join(b.TempDir(), "record")}
	if st.concurrency == 0 {
		st.concurrency = p.concurrency
	}
	var err error
	if st.record, err = record.Create(st.path, o.tasks); err != nil {
		b.Fatal(err)
	}
	if p.postgres {
		st.postgres = testenv.Postgres(b)
		st.dsn = st.postgres.Database(b)
	} else {
		st.redis = testenv.Redis(b)
		if st.conn, err = redis.Dial("unix", st.redis.Socket()); err != nil {
			b.Fatal(err)
		}
	}
	if p.prepare != nil {
		p.prepare(st)
	}
	return st, st.close
}

func (s *stage) close() {
	for _, w := range s.workers {
		w.Kill()
	}
	if s.postgres != nil {
		s.postgres.Stop()
	} else {
		_ = s.conn.Close()
		s.redis.Kill()
	}
	_ = s.record.Close()
	_ = os.Remove(s.path)
}

// start starts one more worker.
func (s *stage) start(env ...string) *testenv.Process {
	s.b.Helper()
	cmd := s.peer.command(s)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "RECORD="+s.path, "QUEUE="+queue, "CONCURRENCY="+strconv.Itoa(s.concurrency),
		"PAUSE="+strconv.FormatInt(s.pause.Milliseconds(), 10)+"ms", "QUICKSTART="+s.quickstart)
	if s.results {
		cmd.Env = append(cmd.Env, "RESULTS=1")
	}
	if s.peer.postgres {
		cmd.Env = append(cmd.Env, "BROKER="+s.dsn)
	} else {
		cmd.Env = append(cmd.Env, "BROKER="+s.redis.URL(), "ADDRESS="+s.redis.Addr())
	}
	cmd.Env = append(append(cmd.Env, s.env...), env...)
	p := testenv.Start(s.b, cmd)
	s.workers = append(s.workers, p)
	return p
}

// await waits until the condition holds; a worker that ends fails the benchmark.
func (s *stage) await(limit time.Duration, what string, condition func() bool) {
	s.b.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(2 * time.Millisecond) {
		for _, w := range s.workers {
			if w.Exited() {
				s.b.Fatalf("%s: a worker ended:\n%s", s.peer.name, w.Output())
			}
		}
		if time.Now().After(deadline) {
			s.b.Fatalf("%s: after %s still not: %s; %s\n%s", s.peer.name, limit, what, s.counts(), s.workers[0].Output())
		}
	}
}

// counts says how often the tasks have run.
func (s *stage) counts() string {
	var never, once, more int
	for i := range s.tasks {
		switch n := s.record.At(i); {
		case n == 0:
			never++
		case n == 1:
			once++
		default:
			more++
		}
	}
	return fmt.Sprintf("of %d tasks %d ran once, %d never, %d more than once", s.tasks, once, never, more)
}

// measure runs the waiting tasks 0..n-1 and tells how long they took, from the first run to the end of the last, all acknowledged and results stored. It fails when one did
// not run exactly once.
func (s *stage) measure(n int) time.Duration {
	s.b.Helper()
	first, next := min(64, n), 0
	s.await(time.Minute, "the first task has run", func() bool {
		for i := range first {
			if s.record.At(i) > 0 {
				return true
			}
		}
		return false
	})
	began := time.Now()
	s.await(5*time.Minute, "all tasks have run", func() bool {
		for next < n && s.record.At(next) > 0 {
			next++
		}
		return next == n
	})
	s.await(time.Minute, "all is acknowledged and stored", func() bool {
		return s.peer.left(s) == 0 && (!s.results || s.peer.stored == nil || s.peer.stored(s) >= n)
	})
	took := time.Since(began)
	for i := range n {
		if s.record.At(i) != 1 {
			s.b.Fatalf("%s: %s", s.peer.name, s.counts())
		}
	}
	return took
}

// do runs a Redis command on the run's own connection.
func (s *stage) do(command string, args ...any) any {
	s.b.Helper()
	reply, err := s.conn.Do(command, args...)
	if err != nil {
		s.b.Fatalf("%s: %v", command, err)
	}
	return reply
}

func (s *stage) int(command string, args ...any) int {
	s.b.Helper()
	n, err := redis.Int(s.do(command, args...), nil)
	if err != nil {
		s.b.Fatalf("%s: %v", command, err)
	}
	return n
}

// push puts messages on a list, many in a round trip.
func (s *stage) push(command, list string, n int, message func(i int) []byte) {
	s.b.Helper()
	const batch, bytes = 500, 4 << 20
	args, size := redis.Args{list}, 0
	for i := range n {
		m := message(i)
		args, size = append(args, m), size+len(m)
		if len(args) > batch || size > bytes || i == n-1 {
			s.do(command, args...)
			args, size = args[:1], 0
		}
	}
}
