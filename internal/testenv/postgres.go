package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"database/sql"

	_ "github.com/lib/pq" // the driver
)

// PostgresServer is a private PostgreSQL.
type PostgresServer struct {
	*Process
	port int
}

// Postgres starts a PostgreSQL on a free port with its own data folder. fsync is on.
func Postgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	dir := tempDir(tb)
	credential := unprivileged(tb, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(need(tb, "initdb", "/usr/lib/postgresql/*/bin/initdb"), "-D", data, "-U", "lovage", "-A", "trust", "-E", "UTF8", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	for attempt := 1; ; attempt++ {
		s := &PostgresServer{port: freePort(tb)}
		cmd := exec.Command(need(tb, "postgres", "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", dir)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		s.Process = Start(tb, cmd)
		err := s.ready()
		if err == nil {
			return s
		}
		if attempt == 5 {
			tb.Fatalf("start postgres: %v\n%s", err, s.Output())
		}
		s.Kill()
	}
}

// unprivileged finds a user to run as: PostgreSQL refuses root.
func unprivileged(tb testing.TB, dir string) *syscall.Credential {
	tb.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			tb.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	tb.Fatal("there is neither a user postgres nor nobody to run PostgreSQL as: run make setup")
	return nil
}

func (s *PostgresServer) ready() error {
	deadline := time.Now().Add(20 * time.Second)
	var err error
	for time.Now().Before(deadline) && !s.Exited() {
		var db *sql.DB
		if db, err = sql.Open("postgres", s.DSN()); err == nil {
			err = db.Ping()
			_ = db.Close()
			if err == nil {
				return nil
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("it does not answer: %w", err)
}

// DSN is the connection string of the database postgres, as user lovage.
func (s *PostgresServer) DSN() string {
	return fmt.Sprintf("postgres://lovage@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}
