package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// RedisServer is a private redis-server.
type RedisServer struct {
	*Process
	tb      testing.TB
	dir     string
	port    int
	tlsPort int
	args    []string
}

// Redis starts a redis-server on a free port with its own folder. Extra arguments are redis-server's, e.g. "--appendonly", "yes". Without persistence
// unless asked.
func Redis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	s := &RedisServer{tb: tb, dir: tempDir(tb), args: args}
	for attempt := 1; ; attempt++ {
		s.port = freePort(tb)
		if err := s.start(); err == nil {
			return s
		} else if attempt == 5 {
			tb.Fatalf("start redis-server: %v", err)
		}
	}
}

// tempDir has a short path: a unix socket's path may have 107 bytes.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "lovage")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *RedisServer) start() error {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no",
		"--unixsocket", s.Socket(), "--enable-debug-command", "yes",
	}, s.args...)
	s.Process = Start(s.tb, exec.Command(need(s.tb, "redis-server"), args...))
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if s.Exited() {
			return fmt.Errorf("it ended: %s", lastLines(s.Output(), 5))
		}
		conn, err := redis.Dial("unix", s.Socket())
		if err == nil {
			_, err = conn.Do("PING")
			_ = conn.Close()
			if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") {
				return nil
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	return fmt.Errorf("it does not answer: %s", lastLines(s.Output(), 5))
}

// Addr is host:port; Port the port alone; Socket the unix socket's path.
func (s *RedisServer) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Port is the server's port.
func (s *RedisServer) Port() int { return s.port }

// Socket is the path of the server's unix socket.
func (s *RedisServer) Socket() string { return filepath.Join(s.dir, "redis.sock") }

// URL is the broker URL of database 0.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() + "/0" }

// Do runs a command on a fresh connection and fails the test when it fails.
func (s *RedisServer) Do(command string, args ...any) any {
	s.tb.Helper()
	conn, err := redis.Dial("tcp", s.Addr())
	if err != nil {
		s.tb.Fatalf("%s: %v", command, err)
	}
	defer conn.Close()
	reply, err := conn.Do(command, args...)
	if err != nil {
		s.tb.Fatalf("%s %v: %v", command, args, err)
	}
	return reply
}

// Int runs a command that answers with a number.
func (s *RedisServer) Int(command string, args ...any) int {
	s.tb.Helper()
	n, err := redis.Int(s.Do(command, args...), nil)
	if err != nil {
		s.tb.Fatalf("%s %v: %v", command, args, err)
	}
	return n
}

// Strings runs a command that answers with a list.
func (s *RedisServer) Strings(command string, args ...any) []string {
	s.tb.Helper()
	list, err := redis.Strings(s.Do(command, args...), nil)
	if err != nil {
		s.tb.Fatalf("%s %v: %v", command, args, err)
	}
	return list
}

// Restart kills the server (SIGTERM, so that an append-only file is whole) and starts it again on the same port and folder.
func (s *RedisServer) Restart() {
	s.tb.Helper()
	if !s.Exited() { // it may have been killed
		s.Signal(syscall.SIGTERM)
		_ = s.Wait(10 * time.Second)
	}
	for attempt := 1; ; attempt++ {
		if err := s.start(); err == nil {
			return
		} else if attempt == 5 {
			s.tb.Fatalf("restart redis-server: %v", err)
		}
	}
}

// Sentinel starts a Sentinel that watches the primary under the name "primary", and gives its address. Failover is for it alone to decide (quorum 1).
func Sentinel(tb testing.TB, primary *RedisServer) string {
	tb.Helper()
	file := filepath.Join(tempDir(tb), "sentinel.conf")
	config := fmt.Sprintf("sentinel monitor primary 127.0.0.1 %d 1\nsentinel down-after-milliseconds primary 1000\nsentinel failover-timeout primary 3000\n", primary.port)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	port := freePort(tb)
	p := Start(tb, exec.Command(need(tb, "redis-server"), file, "--sentinel", "--port", strconv.Itoa(port), "--bind", "127.0.0.1"))
	address := "127.0.0.1:" + strconv.Itoa(port)
	Eventually(tb, 15*time.Second, "the Sentinel knows the primary", func() bool {
		if p.Exited() {
			tb.Fatalf("the Sentinel ended:\n%s", lastLines(p.Output(), 5))
		}
		conn, err := redis.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		found, err := redis.Strings(conn.Do("SENTINEL", "get-master-addr-by-name", "primary"))
		return err == nil && len(found) == 2
	})
	return address
}
