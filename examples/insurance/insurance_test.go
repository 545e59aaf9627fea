package insurance_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/internal/testenv"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// stage is the whole application: Redis, PostgreSQL, the Go worker, FastAPI.
type stage struct {
	redis *testenv.RedisServer
	db    *store.Store
	web   string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	root := testenv.Root(t)
	binary := filepath.Join(t.TempDir(), "worker")
	if out, err := exec.Command("go", "build", "-o", binary, "./worker").CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	s := &stage{redis: testenv.Redis(t)}
	dsn := testenv.Postgres(t).DSN()
	var err error
	if s.db, err = store.Open(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	if err := store.Migrate(t.Context(), s.db.DB.DB); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("schema.sql")
	if err == nil {
		_, err = s.db.DB.Exec(string(script))
	}
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"CELERY_BROKER_URL=" + s.redis.URL(), "LOVAGE_DATABASE_URL=" + dsn}
	worker := exec.Command(binary)
	worker.Env = append(os.Environ(), env...)
	testenv.Start(t, worker)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	s.web = fmt.Sprintf("http://127.0.0.1:%d", port)
	api := testenv.Start(t, testenv.Python(t, testenv.Celery57).Command(context.Background(), filepath.Join(root, "examples", "insurance"), env,
		"uvicorn", "app:app", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--log-level", "warning"))
	testenv.Eventually(t, 30*time.Second, "the application answers", func() bool {
		if api.Exited() {
			t.Fatal("the application ended")
		}
		reply, err := http.Get(s.web + "/healthz")
		if err == nil {
			_ = reply.Body.Close()
		}
		return err == nil
	})
	return s
}

func (s *stage) call(method, path, body string, target any) error {
	request, err := http.NewRequest(method, s.web+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, reply.Status, text)
	}
	if err != nil || target == nil {
		return err
	}
	return json.Unmarshal(text, target)
}

type accepted struct {
	CorrelationID string   `json:"correlation_id"`
	TaskIDs       []string `json:"task_ids"`
	Run           string   `json:"prediction_run_id"`
}

// complete posts a request and waits until all tasks that come of it have ended.
func (s *stage) complete(t *testing.T, path, body string) accepted {
	t.Helper()
	var a accepted
	if err := s.call("POST", path, body, &a); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, path+" is complete", func() bool {
		var status struct{ Complete bool }
		return s.call("GET", "/requests/"+a.CorrelationID, "", &status) == nil && status.Complete
	})
	return a
}

func (s *stage) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := s.db.DB.Get(&n, query); err != nil {
		t.Fatal(err)
	}
	return n
}

const regions = `["DE", "FR", "NL", "BE"]`

func TestTheFourTasks(t *testing.T) {
	s := newStage(t)
	weather := s.complete(t, "/weather", `{"regions": `+regions+`, "days": 10}`)
	s.complete(t, "/weather", `{"regions": `+regions+`, "days": 10}`)
	if n := s.count(t, "SELECT count(*) FROM weather"); n != 4*240 || len(weather.TaskIDs) != 4 {
		t.Errorf("%d rows of weather", n)
	}
	t.Run("a refresh publishes its run once", func(t *testing.T) {
		r := s.complete(t, "/risk/refresh", `{"regions": `+regions+`, "shards": 3, "draws": 300}`)
		active, _, err := store.Active(t.Context(), s.db.DB, "risk")
		if err != nil || active != r.Run || s.count(t, "SELECT count(*) FROM risk_events") != 4 || s.count(t, "SELECT count(*) FROM aggregates") != 1+5+9 {
			t.Errorf("active %s, %v", active, err)
		}
	})
	t.Run("one claim, however often it is asked for", func(t *testing.T) { oneClaim(t, s) })
	t.Run("readers see one run", func(t *testing.T) { oneRun(t, s) })
	t.Run("no route computes", func(t *testing.T) { lag(t, s) })
}

func oneClaim(t *testing.T, s *stage) {
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			s.complete(t, "/claims", `{"policy": "P-1", "product_id": "hail", "region_code": "DE", "sum_insured": "1000.10", "event_date": "2026-10-20"}`)
		})
	}
	all.Wait()
	var claims []struct{ Payout string }
	if err := s.call("GET", "/claims/P-1", "", &claims); err != nil || len(claims) != 1 {
		t.Errorf("%+v, %v", claims, err)
	}
	if n := s.count(t, "SELECT count(*) FROM lovage.attempts WHERE task = 'task_claim_calc' AND state = 'succeeded' AND reused"); n != 49 {
		t.Errorf("%d got the first result", n)
	}
	t.Logf("50 requests: %d row of %s", len(claims), claims[0].Payout)
}

// oneRun has refreshes, rollbacks and readers at once: no reader may see rows, or a cache, of two runs.
func oneRun(t *testing.T, s *stage) {
	refreshes, length := 6, 4*time.Second
	if os.Getenv("LOVAGE_FULL") != "" {
		refreshes, length = 50, time.Minute
	}
	before := s.count(t, "SELECT version FROM lovage.active_runs WHERE scope = 'risk'")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var reads, mixed, rollbacks atomic.Int64
	var readers, writers sync.WaitGroup
	values, err := cache.New(s.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer values.Close()
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				n, err := s.readOnce(ctx, values)
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				reads.Add(1)
				mixed.Add(int64(n))
			}
		})
	}
	began := time.Now()
	writers.Go(func() {
		for range refreshes {
			s.complete(t, "/risk/refresh", `{"regions": `+regions+`, "shards": 4, "draws": 20}`)
		}
	})
	writers.Go(func() {
		for time.Since(began) < length {
			previous, err := s.db.Previous(ctx, "risk")
			if err == nil {
				err = s.db.Switch(ctx, store.Switching{Scope: "risk", To: previous, Who: "test", Why: "test", Rollback: true})
			}
			if err != nil && !errors.Is(err, store.ErrNoRun) {
				t.Error(err)
				return
			}
			rollbacks.Add(1)
			<-time.After(50 * time.Millisecond)
		}
	})
	writers.Wait()
	stop()
	readers.Wait()
	switches := s.count(t, "SELECT version FROM lovage.active_runs WHERE scope = 'risk'")
	audits := s.count(t, "SELECT count(*) FROM lovage.audit WHERE subject = 'risk' AND action LIKE 'run.%'")
	broken := s.count(t, "SELECT count(*) FROM (SELECT before, lag(after) OVER (ORDER BY id) AS previous FROM lovage.audit WHERE subject = 'risk') a WHERE before <> previous")
	if mixed.Load() != 0 || switches != audits || broken != 0 || switches < before+refreshes || reads.Load() == 0 {
		t.Errorf("%d of %d readers saw two runs; %d switches, %d audit rows, %d gaps between them", mixed.Load(), reads.Load(), switches, audits, broken)
	}
	t.Logf("%d refreshes, %d rollbacks tried, %d switches, all audited; %d reads, %d saw two runs", refreshes, rollbacks.Load(), switches-before, reads.Load(), mixed.Load())
}

// readOnce reads as the application does: the active run once, then rows and cache of that run. It counts what belongs to another run.
func (s *stage) readOnce(ctx context.Context, values *cache.Cache) (mixed int, err error) {
	run, _, err := store.Active(ctx, s.db.DB, "risk")
	if err != nil {
		return 0, err
	}
	var rows int
	if err := s.db.DB.GetContext(ctx, &rows, "SELECT count(*) FROM risk_events WHERE prediction_run_id = $1", run); err != nil {
		return 0, err
	}
	if rows != 4 { // an active run is whole
		mixed++
	}
	key, err := cache.NewKey("risk.l0", tasks.Dimensions{AccessMode: "public", DataType: tasks.Predicted, PredictionRunID: run})
	if err != nil {
		return mixed, err
	}
	var seen struct{ Run string }
	err = values.Get(ctx, key, time.Minute, &seen, func(context.Context) (any, error) { return map[string]string{"run": run}, nil })
	if err == nil && seen.Run != run {
		mixed++
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return mixed, err
}

func lag(t *testing.T, s *stage) {
	s.complete(t, "/risk/refresh", `{"regions": `+regions+`, "shards": 4, "draws": 3000}`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if err := s.call("POST", "/claims", `{"policy": "P-2", "product_id": "hail", "region_code": "DE", "sum_insured": "10", "event_date": "2026-10-21"}`, nil); err != nil {
					t.Error(err)
				}
				if err := s.call("GET", "/risk/l0", "", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var seen struct {
		Samples int
		P99     float64 `json:"p99_ms"`
		Max     float64 `json:"max_ms"`
	}
	if err := s.call("GET", "/lag", "", &seen); err != nil || seen.Samples < 100 || seen.P99 > 20 {
		t.Errorf("the event loop's lag: %+v, %v", seen, err)
	}
	t.Logf("400 requests beside heavy tasks: the event loop's lag, %d samples: p99 %.1f ms, most %.1f ms", seen.Samples, seen.P99, seen.Max)
}
