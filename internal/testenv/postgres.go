package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"
)

// PostgresServer is a private PostgreSQL.
type PostgresServer struct {
	*Process
	tb   testing.TB
	port int

	mu   sync.Mutex
	made int
}

// Postgres starts a PostgreSQL on a free port with its own data folder. Settings are postgres' own, like "fsync=off": fsync is on unless one says otherwise.
func Postgres(tb testing.TB, settings ...string) *PostgresServer {
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
		s := &PostgresServer{tb: tb, port: freePort(tb)}
		args := []string{"-D", data, "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", dir}
		for _, setting := range settings {
			args = append(args, "-c", setting)
		}
		cmd := exec.Command(need(tb, "postgres", "/usr/lib/postgresql/*/bin/postgres"), args...)
		cmd.Dir = dir
		// SIGQUIT is its immediate shutdown. After a SIGKILL it would leave a segment of shared memory behind.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
		s.Process = Start(tb, cmd)
		tb.Cleanup(s.Stop)
		err := s.ready()
		if err == nil {
			return s
		}
		if attempt == 5 {
			tb.Fatalf("start postgres: %v\n%s", err, s.Output())
		}
		s.Stop()
	}
}

// Stop ends the server at once, without waiting for its clients; what was committed is in its data folder. It may be called twice.
func (s *PostgresServer) Stop() {
	if s.Exited() {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT) // it may be paused
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
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
		if err = s.exec(s.DSN(), "SELECT 1"); err == nil {
			return nil
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("it does not answer: %w", err)
}

func (s *PostgresServer) exec(dsn, statement string) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// DSN is the connection string of the database postgres, as user lovage.
func (s *PostgresServer) DSN() string { return s.dsn("postgres") }

func (s *PostgresServer) dsn(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("lovage"), Host: "127.0.0.1:" + strconv.Itoa(s.port), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Database makes an empty database of its own for a test, and returns its connection string. So one server can serve many tests. It is dropped, with
// whoever is connected to it, when the test ends.
func (s *PostgresServer) Database(tb testing.TB) string {
	tb.Helper()
	s.mu.Lock()
	s.made++
	name := fmt.Sprintf("test%d", s.made)
	s.mu.Unlock()
	if err := s.exec(s.DSN(), "CREATE DATABASE "+pq.QuoteIdentifier(name)); err != nil {
		tb.Fatalf("create database %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if s.Exited() {
			return
		}
		if err := s.exec(s.DSN(), "DROP DATABASE "+pq.QuoteIdentifier(name)+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop database %s: %v", name, err)
		}
	})
	return s.dsn(name)
}
