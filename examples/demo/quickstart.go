package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// quickstart is the smallest example.
func quickstart(ctx context.Context, folder string, keep bool) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	s, err := newStage(folder, keep)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || !keep {
			s.stop()
		}
	}()
	python := filepath.Join(root, ".venv", "celery-5.7.0", "bin")
	say("Lovage demo: FastAPI enqueues with Celery, a Go worker computes, Celery's AsyncResult reads.\n")

	redisURL, err := s.redis(ctx)
	if err != nil {
		return err
	}
	postgresURL, err := s.postgres(ctx)
	if err != nil {
		return err
	}
	say("1. Redis       %s   (private, its data in %s)", redisURL, folder)
	say("2. PostgreSQL  %s", postgresURL)
	env := []string{"CELERY_BROKER_URL=" + redisURL, "CELERY_RESULT_BACKEND=" + redisURL, "PYTHONDONTWRITEBYTECODE=1"}
	port := freePort()
	web := fmt.Sprintf("http://127.0.0.1:%d", port)
	api := exec.Command(filepath.Join(python, "uvicorn"), "app:app", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--log-level", "warning")
	api.Dir, api.Env = filepath.Join(root, "examples", "quickstart"), append(os.Environ(), env...)
	if err := s.start("fastapi", api); err != nil {
		return err
	}
	if err := s.until(ctx, "fastapi", func() bool { return get(web+"/healthz", nil) == nil }); err != nil {
		return err
	}
	say("3. FastAPI     %s   (Python, Celery 5.7.0, nothing of Lovage in it)", web)
	worker := exec.Command(filepath.Join(root, "bin", "quickstart-worker"))
	worker.Env = append(os.Environ(), env...)
	if err := s.start("worker", worker); err != nil {
		return err
	}
	if err := s.until(ctx, "worker", func() bool { return strings.Contains(s.output("worker"), `"msg":"ready"`) }); err != nil {
		return err
	}
	say("4. Go worker   process %d on queue \"heavy\"\n", worker.Process.Pid)

	id, err := follow(ctx, web)
	if err != nil {
		return err
	}
	if err := readFromPython(ctx, python, redisURL, id); err != nil {
		return err
	}
	if keep {
		s.explain(web, redisURL, postgresURL, id)
		return nil
	}
	s.stop()
	say("\nDone. Everything is stopped. `make demo EXAMPLE=quickstart KEEP=1` leaves it running to look around.")
	return nil
}

// follow posts a request and reads its status until the result is there.
func follow(ctx context.Context, web string) (string, error) {
	body := `{"region": "north-sea", "seed": 7, "size": 256, "runs": 1000}`
	say("-> POST %s/risk %s", web, body)
	began := time.Now()
	reply, err := http.Post(web+"/risk", "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return "", err
	}
	say("<- %s after %s: %s", reply.Status, time.Since(began).Round(100*time.Microsecond), text)
	var accepted struct {
		TaskID string `json:"task_id"`
		URL    string `json:"status_url"`
	}
	if err := json.Unmarshal(text, &accepted); err != nil || reply.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("the application answered %s: %s", reply.Status, text)
	}
	last := ""
	for ctx.Err() == nil {
		var status struct {
			State  string          `json:"state"`
			Result json.RawMessage `json:"result"`
		}
		if err := get(web+accepted.URL, &status); err != nil {
			return "", err
		}
		if status.State != last {
			say("   GET %s -> %s after %s", accepted.URL, status.State, time.Since(began).Round(time.Millisecond))
			last = status.State
		}
		if status.State == "SUCCESS" {
			say("   result: %s   (65,536 cells, 65 million draws)", status.Result)
			return accepted.TaskID, nil
		}
		if time.Since(began) > time.Minute {
			return "", errors.New("no result after a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", ctx.Err()
}

// readFromPython reads the same result with Celery's AsyncResult, and sends another task whose failure becomes an exception in Python.
func readFromPython(ctx context.Context, python, redisURL, id string) error {
	script := `
import sys
from celery import Celery
app = Celery(broker=sys.argv[1], backend=sys.argv[1])
print("   AsyncResult(%r).get() ->" % sys.argv[2], app.AsyncResult(sys.argv[2]).get(timeout=10))
try:
    app.send_task("risk.score", ("north-sea", 1, -5), queue="heavy").get(timeout=10)
except ValueError as e:
    print("   a bad request raises in Python: ValueError(%s)" % e)
try:
    app.send_task("risk.score", (), queue="heavy").get(timeout=10)
except TypeError as e:
    print("   a wrong call raises in Python:  TypeError(%s)" % e)
`
	say("\n-> Python, with Celery's own AsyncResult:")
	cmd := exec.CommandContext(ctx, filepath.Join(python, "python"), "-c", script, redisURL, id)
	out, err := cmd.CombinedOutput()
	fmt.Print(string(out))
	if err != nil {
		return fmt.Errorf("read the result from Python: %w", err)
	}
	if n := bytes.Count(out, []byte("raises in Python")); n != 2 {
		return fmt.Errorf("%d of 2 exceptions arrived in Python", n)
	}
	return nil
}

func get(url string, target any) error {
	reply, err := http.Get(url)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", url, reply.Status, data)
	}
	if target == nil {
		return nil
	}
	return json.Unmarshal(data, target)
}
