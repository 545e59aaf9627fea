package once

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

// role, when set, makes the test binary a worker.
const role = "LOVAGE_ONCE_WORKER"

// setup is what such a worker is told.
type setup struct {
	Redis, Database string
	// NoLock leaves the Redis guard out.
	NoLock bool
	// KillAt ends the worker with SIGKILL when it reaches the step and finds this file, which it removes: once per file.
	KillAt, KillFile string
	TTL              time.Duration
	Concurrency      int
}

func TestMain(m *testing.M) {
	if text := os.Getenv(role); text != "" {
		var s setup
		err := json.Unmarshal([]byte(text), &s)
		if err == nil {
			err = serve(context.Background(), s)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// full tells that the tests are to have the size that the acceptance names: make test-effects.
func full() bool { return os.Getenv("LOVAGE_FULL") != "" }

func size(short, long int) int {
	if full() {
		return long
	}
	return short
}

type claimIn struct {
	Policy string
	Amount int
	Millis int `default:"0"`
}

type claimOut struct {
	ID     int64  `json:"id"`
	Policy string `json:"policy"`
	Nonce  string `json:"nonce"`
}

// serve runs a worker with the tasks of the tests until it is told to stop.
func serve(ctx context.Context, s setup) error {
	db, err := store.Open(ctx, s.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	log, err := ledger.New(ledger.Config{Store: db, Every: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	log.Start()
	config := Config{Store: db, Ledger: log, Modes: []string{"public", "broker"}}
	if !s.NoLock {
		config.Locks, err = lockutil.New(lockutil.Config{URL: s.Redis, TTL: s.TTL, Floor: func(ctx context.Context) (int64, error) { return lockutil.Floor(ctx, db.DB.DB) }})
		if err != nil {
			return err
		}
		defer config.Locks.Close()
	}
	kit, err := New(ctx, config)
	if err != nil {
		return err
	}
	defer kit.Close()
	kit.at = func(step string) {
		if step == s.KillAt && os.Remove(s.KillFile) == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	w, err := worker.New(worker.Config{BrokerURL: s.Redis, Concurrency: max(1, s.Concurrency), Lease: time.Second, Logger: zap.NewNop(), MaxDeliveries: 1000})
	if err != nil {
		return err
	}
	if err := errors.Join(Handle(w, kit, claimTask(kit)), Handle(w, kit, batchTask())); err != nil {
		return err
	}
	fmt.Println("started")
	return errors.Join(w.Main(ctx), log.Stop())
}

func claimTask(kit *Kit) Task[claimIn, claimOut] {
	return Task[claimIn, claimOut]{
		Name: "claim", Needs: []tasks.Dimension{tasks.AccessMode}, Wait: 5 * time.Second, Backoff: 50 * time.Millisecond, Retries: 1000,
		Key: func(_ tasks.Dimensions, in claimIn) string { return in.Policy },
		Do: func(ctx context.Context, tx *Tx, in claimIn) (claimOut, error) {
			out := claimOut{Policy: in.Policy, Nonce: fmt.Sprint(time.Now().UnixNano())}
			err := tx.QueryRow(ctx, "INSERT INTO claims (policy, amount, nonce) VALUES ($1, $2, $3) RETURNING id", in.Policy, in.Amount, out.Nonce).Scan(&out.ID)
			if err != nil {
				return out, err
			}
			tx.Wrote(1)
			kit.at("in handler")
			if in.Millis > 0 {
				select {
				case <-time.After(time.Duration(in.Millis) * time.Millisecond):
				case <-ctx.Done():
					return out, context.Cause(ctx)
				}
			}
			return out, nil
		},
	}
}

type batchIn struct{ Rows, Size int }

func batchTask() Task[batchIn, int] {
	return Task[batchIn, int]{
		Name: "many", Wait: 10 * time.Second, Retries: 1000, Backoff: 50 * time.Millisecond, Needs: []tasks.Dimension{tasks.AccessMode},
		Batches: func(ctx context.Context, b *Batches, in batchIn) (int, error) {
			next := 0
			if err := b.Resume(&next); err != nil {
				return 0, err
			}
			for next < in.Rows {
				to := min(in.Rows, next+in.Size)
				err := b.Step(ctx, to, func(tx *Tx) error {
					_, err := tx.Exec(ctx, "INSERT INTO numbers (n) SELECT generate_series($1::int, $2::int - 1)", next, to)
					return err
				})
				if err != nil {
					return 0, err
				}
				next = to
			}
			return next, nil
		},
	}
}

// stage is a private Redis and database with the schema and the tests' tables.
type stage struct {
	redis  *testenv.RedisServer
	dsn    string
	db     *store.Store
	client *client.Client
	dir    string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{redis: testenv.Redis(t), dsn: testenv.Postgres(t).DSN(), dir: t.TempDir()}
	var err error
	if s.db, err = store.Open(t.Context(), s.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	if err := store.Migrate(t.Context(), s.db.DB.DB); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "CREATE TABLE claims (id bigserial PRIMARY KEY, policy text NOT NULL, amount int NOT NULL, nonce text NOT NULL)")
	s.exec(t, "CREATE TABLE numbers (n int NOT NULL)")
	if s.client, err = client.New(client.Config{BrokerURL: s.redis.URL()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

func (s *stage) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := s.db.DB.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := s.db.DB.Get(&n, query, args...); err != nil {
		t.Fatal(err)
	}
	return n
}

// worker starts a worker process.
func (s *stage) worker(t *testing.T, with setup) *testenv.Process {
	t.Helper()
	with.Redis, with.Database = s.redis.URL(), s.dsn
	text, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+string(text))
	return testenv.Start(t, cmd)
}

func (s *stage) send(t *testing.T, task client.Task) *client.AsyncResult {
	t.Helper()
	result, err := s.client.Send(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func claim(policy string, millis int) client.Task {
	return client.Task{Name: "claim", Kwargs: map[string]any{"policy": policy, "amount": 7, "millis": millis, "access_mode": "public"}}
}

func wait(t *testing.T, r *client.AsyncResult, target any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	return r.Get(ctx, target)
}

func killFile(t *testing.T, s *stage, name string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
