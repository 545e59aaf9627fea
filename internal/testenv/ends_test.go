package testenv_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
)

// victim, when set, makes the test binary one that starts servers and is then killed.
const victim = "LOVAGE_TESTENV_VICTIM"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServersDieWithAKilledTestBinary runs this test again in another process, kills that, and looks for the servers that it had started.
func TestServersDieWithAKilledTestBinary(t *testing.T) {
	if os.Getenv(victim) != "" {
		fmt.Println("SERVERS", testenv.Redis(t).PID(), testenv.Postgres(t).PID())
		select {} // until it is killed
	}
	// What the victim leaves behind. Not t.TempDir, which PostgreSQL's user cannot reach.
	folder, err := os.MkdirTemp("", "lovage-victim")
	if err == nil {
		err = os.Chmod(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), victim+"=1", "TMPDIR="+folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var redis, postgres int
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, list, found := strings.Cut(lines.Text(), "SERVERS "); found {
			if _, err := fmt.Sscan(list, &redis, &postgres); err != nil {
				t.Fatal(err)
			}
			break
		}
		said.WriteString(lines.Text() + "\n")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if redis == 0 || postgres == 0 {
		t.Fatalf("the servers have not started:\n%s", said.String())
	}
	for name, pid := range map[string]int{"redis-server": redis, "postgres": postgres} {
		testenv.Eventually(t, 10*time.Second, name+" has ended", func() bool { return syscall.Kill(pid, 0) != nil })
	}
}

func TestAPausedServerDoesNotAnswerUntilItIsResumed(t *testing.T) {
	server := testenv.Redis(t)
	server.Pause()
	answered := make(chan any, 1)
	go func() { answered <- server.Do("PING") }()
	testenv.Eventually(t, 5*time.Second, "the server is paused", func() bool { return processState(t, server.PID()) == "T" })
	if len(answered) != 0 {
		t.Error("a paused server answered")
	}
	server.Resume()
	<-answered
}

// processState is the letter of /proc/<pid>/stat: T is stopped.
func processState(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))[0]
}

func TestAPausedServerEndsWithItsTest(t *testing.T) {
	var pids []int
	t.Run("inner", func(t *testing.T) {
		redis, postgres := testenv.Redis(t), testenv.Postgres(t)
		redis.Pause()
		postgres.Pause()
		pids = []int{redis.PID(), postgres.PID()}
	})
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	server := testenv.Postgres(t, "fsync=off")
	for range 2 {
		t.Run("inner", func(t *testing.T) {
			db, err := sql.Open("postgres", server.Database(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if _, err := db.Exec("CREATE TABLE it (n int)"); err != nil {
				t.Error(err)
			}
		})
	}
	db, err := sql.Open("postgres", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var left int
	if err := db.QueryRow("SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d databases are left behind, %v", left, err)
	}
}
