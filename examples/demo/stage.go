package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
	_ "github.com/lib/pq" // the driver
)

// stage holds the processes of the demo and the folder with their data and logs.
type stage struct {
	folder    string
	keep      bool
	names     []string
	processes map[string]*exec.Cmd
	ended     map[string]chan struct{}
	// temporary is PostgreSQL's folder when that cannot be inside folder.
	temporary string
}

// newStage begins with an empty folder. What an earlier demo has left there, with KEEP=1 or because it was killed, is stopped first.
func newStage(folder string, keep bool) (*stage, error) {
	if err := stopKept(folder); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("empty the demo's folder: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return &stage{folder: folder, keep: keep, processes: map[string]*exec.Cmd{}, ended: map[string]chan struct{}{}}, nil
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// start runs a process in its own group, its output in <name>.log.
func (s *stage) start(name string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(s.folder, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// In a group of its own it does not see the terminal's Ctrl-C: the stage stops it, in order.
	cmd.SysProcAttr.Setpgid = true
	if !s.keep {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
		if name == "postgres" {
			cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
		}
	}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// Pdeathsig follows the thread that forks: it must live as long as the process.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s (run make setup): %w", name, err)
	}
	s.names, s.processes[name], s.ended[name] = append(s.names, name), cmd, ended
	return s.remember()
}

func (s *stage) output(name string) string {
	data, err := os.ReadFile(filepath.Join(s.folder, name+".log"))
	if err != nil {
		return ""
	}
	return string(data)
}

// until waits for a condition while the process lives.
func (s *stage) until(ctx context.Context, name string, ready func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); !ready(); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended[name]:
			return fmt.Errorf("%s ended:\n%s", name, s.output(name))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after 30 s:\n%s", name, s.output(name))
		}
	}
	return nil
}

// stop ends the processes in the reverse order: SIGTERM, and SIGKILL after five seconds.
func (s *stage) stop() {
	for i := len(s.names) - 1; i >= 0; i-- {
		name := s.names[i]
		pid := s.processes[name].Process.Pid
		_ = syscall.Kill(pid, gently(name))
		select {
		case <-s.ended[name]:
		case <-time.After(5 * time.Second):
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			<-s.ended[name]
		}
	}
	s.names = nil
	if s.temporary != "" {
		_ = os.RemoveAll(s.temporary)
	}
	_ = os.Remove(filepath.Join(s.folder, keptFile))
}

// gently is the signal that ends a process in good order and does not wait for its clients.
func gently(name string) syscall.Signal {
	if name == "postgres" {
		return syscall.SIGINT // its fast shutdown
	}
	return syscall.SIGTERM
}

func (s *stage) redis(ctx context.Context) (string, error) {
	port := freePort()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", s.folder, "--appendonly", "yes", "--save", "")
	if err := s.start("redis", cmd); err != nil {
		return "", err
	}
	url := fmt.Sprintf("redis://127.0.0.1:%d/0", port)
	err := s.until(ctx, "redis", func() bool {
		conn, err := redis.DialURL(url)
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Do("PING")
		return err == nil
	})
	return url, err
}

// postgres makes a data folder and starts a server on it, as another user when this one is root: PostgreSQL refuses root.
func (s *stage) postgres(ctx context.Context) (string, error) {
	bin := ""
	if matches, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(matches) > 0 {
		bin = filepath.Dir(matches[len(matches)-1])
	} else if path, err := exec.LookPath("initdb"); err == nil {
		bin = filepath.Dir(path)
	} else {
		return "", errors.New("PostgreSQL is not installed: run make setup")
	}
	folder, credential, err := s.postgresFolder()
	if err != nil {
		return "", err
	}
	data := filepath.Join(folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "lovage", "-A", "trust", "-E", "UTF8")
	initdb.Dir, initdb.SysProcAttr = folder, &syscall.SysProcAttr{Credential: credential}
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port := freePort()
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", folder)
	cmd.Dir, cmd.SysProcAttr = folder, &syscall.SysProcAttr{Credential: credential}
	if err := s.start("postgres", cmd); err != nil {
		return "", err
	}
	url := fmt.Sprintf("postgres://lovage@127.0.0.1:%d/postgres?sslmode=disable", port)
	return url, s.until(ctx, "postgres", func() bool {
		db, err := sql.Open("postgres", url)
		if err != nil {
			return false
		}
		defer db.Close()
		return db.PingContext(ctx) == nil
	})
}

// postgresFolder is in the system's temporary folder when PostgreSQL runs as another user, who may not be able to reach ours.
func (s *stage) postgresFolder() (string, *syscall.Credential, error) {
	if os.Geteuid() != 0 {
		folder := filepath.Join(s.folder, "postgres")
		return folder, nil, os.MkdirAll(folder, 0o700)
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		folder, err := os.MkdirTemp("", "lovage-demo-postgres")
		if err != nil {
			return "", nil, err
		}
		s.temporary = folder
		if err := os.Chown(folder, uid, gid); err != nil {
			return "", nil, err
		}
		return folder, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return "", nil, errors.New("there is no user to run PostgreSQL as: run make setup")
}

func (s *stage) explain(web, redisURL, postgresURL, id string) {
	say("\nEverything is left running. Look around:")
	say("  the application   %s/docs", web)
	say("  another request   curl -X POST %s/risk -H 'content-type: application/json' -d '{\"region\": \"baltic\", \"size\": 128}'", web)
	say("  from a shell      bin/lovage -b %s send risk.score '[\"alps\", 1]' -q heavy --wait", redisURL)
	say("  the result        redis-cli -u %s get celery-task-meta-%s", redisURL, id)
	say("  dead letters      bin/lovage -b %s deadletter list", redisURL)
	say("  the database      psql '%s'", postgresURL)
	say("  the logs          %s/*.log", s.folder)
	say("Stop it:            make stop")
}
