package store_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
	store "github.com/lovage-go/lovage/sql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := testenv.Postgres(t)
	t.Run("several that migrate at once, and down again", func(t *testing.T) { migrate(t, open(t, server.Database(t))) })
	dsn := server.Database(t)
	s := open(t, dsn)
	if err := store.Migrate(t.Context(), s.DB.DB); err != nil {
		t.Fatal(err)
	}
	t.Run("the database refuses changes of audit rows", func(t *testing.T) { appendOnly(t, s) })
	t.Run("a switch of the active run is audited, announced, and rolled back", func(t *testing.T) { runs(t, s) })
	t.Run("partitions are made and dropped", func(t *testing.T) { partitions(t, s) })
	t.Run("roles have no more than they need", func(t *testing.T) { roles(t, s, dsn) })
}

func migrate(t *testing.T, s *store.Store) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := store.Migrate(t.Context(), s.DB.DB); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := store.Migrations(t.Context(), s.DB.DB)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d migrations, %v", len(list), err)
	}
	for i := len(list); i > 0; i-- {
		if !list[i-1].Applied {
			t.Errorf("%s is not applied", list[i-1].Name)
		}
		if err := store.MigrateDown(t.Context(), s.DB.DB); err != nil {
			t.Fatal(err)
		}
	}
	var left int
	if err := s.DB.Get(&left, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'lovage' AND relkind IN ('r', 'p') AND relname <> 'schema_version'"); err != nil || left != 0 {
		t.Errorf("%d tables are left, %v", left, err)
	}
	if err := store.Migrate(t.Context(), s.DB.DB); err != nil {
		t.Error("up again:", err)
	}
}

func appendOnly(t *testing.T, s *store.Store) {
	if err := (store.Audit{Who: "me", Why: "test", Action: "x", Subject: "y"}).Write(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	if err := (store.ScheduleAudit{Who: "me", Why: "test", Action: "x", Entry: "y"}).Write(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	if err := (store.Audit{Who: "me", Action: "x", Subject: "y"}).Write(t.Context(), s.DB); !errors.Is(err, store.ErrUnexplained) {
		t.Errorf("without a reason: %v", err)
	}
	for _, table := range []string{"audit", "schedule_audit"} {
		for _, statement := range []string{"UPDATE lovage." + table + " SET who = 'you'", "DELETE FROM lovage." + table, "TRUNCATE lovage." + table} {
			if _, err := s.DB.Exec(statement); err == nil || !strings.Contains(err.Error(), "only ever added") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
}

func runs(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, id := range []string{"r1", "r2"} {
		if err := store.CreateRun(ctx, s.DB, store.Run{ID: id, Scope: "risk", CreatedBy: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := store.Active(ctx, s.DB, "risk"); !errors.Is(err, store.ErrNoRun) {
		t.Errorf("active before any switch: %v", err)
	}
	if err := s.Switch(ctx, store.Switching{Scope: "risk", To: "r1", Who: "me"}); !errors.Is(err, store.ErrUnexplained) {
		t.Errorf("without a reason: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, to := range []string{"r1", "r2"} {
				if err := s.Switch(ctx, store.Switching{Scope: "risk", To: to, Who: "me", Why: "test"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := s.Switch(ctx, store.Switching{Scope: "risk", To: "r1", Who: "me", Why: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Switch(ctx, store.Switching{Scope: "risk", To: "r2", Who: "me", Why: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := store.CheckRun(ctx, s.DB, "r1"); !errors.Is(err, store.ErrSuperseded) {
		t.Errorf("r1: %v", err)
	}
	previous, err := s.Previous(ctx, "risk")
	if err != nil || previous != "r1" {
		t.Fatalf("previous is %s, %v", previous, err)
	}
	if err := s.Switch(ctx, store.Switching{Scope: "risk", To: previous, Who: "me", Why: "it was better", Rollback: true}); err != nil {
		t.Fatal(err)
	}
	id, version, err := store.Active(ctx, s.DB, "risk")
	waiting, waitErr := store.Waiting(ctx, s.DB, 1000)
	audits, auditErr := s.Audits(ctx, "risk")
	if err := errors.Join(err, waitErr, auditErr); err != nil || id != "r1" || len(waiting) != int(version) || len(audits) != int(version) || audits[len(audits)-1].Action != "run.rollback" {
		t.Errorf("active %s version %d, %d invalidations, %d audit rows, %v", id, version, len(waiting), len(audits), err)
	}
	for i := 1; i < len(audits); i++ { // a chain without a gap
		if *audits[i].Before != *audits[i-1].After {
			t.Errorf("switch %d is from %s, after one to %s", i, *audits[i].Before, *audits[i-1].After)
		}
	}
	if err := s.Switch(ctx, store.Switching{Scope: "risk", To: "r9", Who: "me", Why: "test"}); !errors.Is(err, store.ErrNoRun) {
		t.Errorf("unknown run: %v", err)
	}
}

func partitions(t *testing.T, s *store.Store) {
	old := time.Now().UTC().AddDate(0, 0, -40)
	if _, err := s.DB.Exec("CREATE TABLE lovage.attempts_" + old.Format("20060102") + " PARTITION OF lovage.attempts FOR VALUES FROM ('" + old.Format("2006-01-02") + "') TO ('" + old.AddDate(0, 0, 1).Format("2006-01-02") + "')"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ keep, dropped int }{{0, 0}, {30, 1}, {30, 0}} {
		var dropped int
		if err := s.DB.Get(&dropped, "SELECT lovage.maintain_attempts($1)", c.keep); err != nil || dropped != c.dropped {
			t.Errorf("keep %d days: dropped %d, %v", c.keep, dropped, err)
		}
	}
}

func roles(t *testing.T, s *store.Store, dsn string) {
	script, err := os.ReadFile("roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB.Exec(string(script)); err != nil {
		t.Fatal(err)
	}
	conn, err := s.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct {
		role, statement string
		ok              bool
	}{
		{"lovage_producer", "INSERT INTO lovage.outbox (task) VALUES ('t') RETURNING id", true},
		{"lovage_producer", "SELECT * FROM lovage.attempts", false},
		{"lovage_producer", "DELETE FROM lovage.outbox", false},
		{"lovage_worker", "SELECT lovage.maintain_attempts(0)", true},
		{"lovage_worker", "DELETE FROM lovage.effects", false},
		{"lovage_reader", "SELECT * FROM lovage.attempts", true},
		{"lovage_reader", "INSERT INTO lovage.audit (who, why, action, subject) VALUES ('a', 'b', 'c', 'd')", false},
		{"lovage_operator", "INSERT INTO lovage.audit (who, why, action, subject) VALUES ('a', 'b', 'c', 'd')", true},
		{"lovage_operator", "UPDATE lovage.audit SET who = 'x'", false},
	} {
		if _, err := conn.ExecContext(context.Background(), "SET ROLE "+c.role); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(context.Background(), c.statement); (err == nil) != c.ok {
			t.Errorf("%s: %s: %v", c.role, c.statement, err)
		}
	}
	_, _ = conn.ExecContext(context.Background(), "RESET ROLE")
	for _, role := range []string{"lovage_worker", "lovage_producer", "lovage_operator", "lovage_reader"} {
		_, _ = s.DB.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
	}
}
