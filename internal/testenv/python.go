package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The versions of Celery that make setup installs, each in its own virtual environment.
const (
	Celery57 = "5.7.0"
	Celery52 = "5.2.7"
	Celery44 = "4.4.7"
)

// Venv is a virtual environment with one version of Celery.
type Venv struct {
	tb      testing.TB
	dir     string
	Version string
}

// Python finds the virtual environment of a version of Celery.
func Python(tb testing.TB, version string) *Venv {
	tb.Helper()
	dir := filepath.Join(Root(tb), ".venv", "celery-"+version)
	if _, err := os.Stat(filepath.Join(dir, "bin", "python")); err != nil {
		tb.Fatalf("there is no virtual environment for Celery %s: run make setup", version)
	}
	return &Venv{tb: tb, dir: dir, Version: version}
}

// Command prepares a run of a program of the environment ("python", "celery", "uvicorn") in a folder, with extra environment variables.
func (v *Venv) Command(ctx context.Context, folder string, env []string, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(v.dir, "bin", program), args...)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=ignore"), env...)
	return cmd
}

// Run runs a script to its end and returns what it printed; a failure fails the test.
func (v *Venv) Run(folder string, env []string, input string, args ...string) string {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := v.Command(ctx, folder, env, "python", args...)
	cmd.Stdin = strings.NewReader(input)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		v.tb.Fatalf("python %s: %v\n%s\n%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String()
}

// CeleryWorker starts `celery -A app worker` on an app module in the folder and waits until it is ready. One worker in one process unless the arguments say otherwise.
func (v *Venv) CeleryWorker(folder string, env []string, name string, args ...string) *Process {
	v.tb.Helper()
	args = append([]string{"-A", "app", "worker", "-n", name + "@%h", "-l", "INFO", "--without-gossip", "--without-mingle"}, args...)
	if !strings.Contains(strings.Join(args, " "), "--pool") {
		args = append(args, "--pool", "solo")
	}
	p := Start(v.tb, v.Command(context.Background(), folder, env, "celery", args...))
	Eventually(v.tb, 60*time.Second, fmt.Sprintf("the Celery %s worker %s is ready", v.Version, name), func() bool {
		if p.Exited() {
			v.tb.Fatalf("the Celery worker ended:\n%s", lastLines(p.Output(), 30))
		}
		return strings.Contains(p.Output(), "ready.")
	})
	return p
}
