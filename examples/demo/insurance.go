package main

import (
	"bytes"
	"context"
	"database/sql"
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

// insurance runs the insurance example and tells one request's whole story.
func insurance(ctx context.Context, folder string, keep bool) (err error) {
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
	say("Lovage demo: storm insurance. FastAPI writes and enqueues in one transaction, a Go worker does the four tasks, each effect once.\n")
	d := &play{stage: s, root: root}
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.perform(ctx); err != nil {
		return err
	}
	if keep {
		say("\nEverything is left running. Look around:")
		say("  the application   %s/docs     the page with a trail: %s/#%s", d.web, d.web, d.correlation)
		say("  export LOVAGE_DATABASE_URL='%s' CELERY_BROKER_URL='%s'", d.database, d.redis)
		say("  bin/lovage ledger find --since 1h;  bin/lovage runs list;  bin/lovage locks list;  bin/lovage tasks list")
		say("  the logs          %s/*.log", s.folder)
		say("Stop it:            make stop")
		return nil
	}
	s.stop()
	say("\nDone. Everything is stopped. `make demo KEEP=1` leaves it running to look around, `make demo EXAMPLE=quickstart` is the smaller one.")
	return nil
}

// play is the insurance example on its stage.
type play struct {
	*stage
	root, redis, database, web string
	correlation                string
}

func (d *play) start(ctx context.Context) (err error) {
	if d.redis, err = d.stage.redis(ctx); err != nil {
		return err
	}
	if d.database, err = d.stage.postgres(ctx); err != nil {
		return err
	}
	if err := d.schema(ctx); err != nil {
		return err
	}
	env := append(os.Environ(), "CELERY_BROKER_URL="+d.redis, "LOVAGE_DATABASE_URL="+d.database, "PYTHONDONTWRITEBYTECODE=1")
	worker := exec.Command(filepath.Join(d.root, "bin", "insurance-worker"))
	worker.Env = env
	if err := d.stage.start("worker", worker); err != nil {
		return err
	}
	if err := d.until(ctx, "worker", func() bool { return strings.Contains(d.output("worker"), `"msg":"ready"`) }); err != nil {
		return err
	}
	port := freePort()
	d.web = fmt.Sprintf("http://127.0.0.1:%d", port)
	python := filepath.Join(d.root, ".venv", "celery-5.7.0", "bin")
	api := exec.Command(filepath.Join(python, "uvicorn"), "app:app", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--log-level", "warning")
	api.Dir, api.Env = filepath.Join(d.root, "examples", "insurance"), env
	if err := d.stage.start("fastapi", api); err != nil {
		return err
	}
	if err := d.until(ctx, "fastapi", func() bool { return get(d.web+"/healthz", nil) == nil }); err != nil {
		return err
	}
	say("1. Redis %s, PostgreSQL %s (private)\n2. Go worker with the four tasks and the outbox' relay\n3. FastAPI %s\n", d.redis, d.database, d.web)
	return nil
}

func (d *play) schema(ctx context.Context) error {
	if err := d.lovage(ctx, io.Discard, "migrate", "up"); err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(d.root, "examples", "insurance", "schema.sql"))
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", d.database)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, string(script))
	return err
}

// lovage runs the command line as a person would.
func (d *play) lovage(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.root, "bin", "lovage"), args...)
	cmd.Env = append(os.Environ(), "LOVAGE_DATABASE_URL="+d.database, "CELERY_BROKER_URL="+d.redis)
	var problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &problems
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lovage %s: %w: %s", strings.Join(args, " "), err, problems.String())
	}
	return nil
}

// request is what the application answers to a POST.
type request struct {
	CorrelationID string   `json:"correlation_id"`
	TaskIDs       []string `json:"task_ids"`
	Run           string   `json:"prediction_run_id"`
}

func (d *play) post(path, body string) (r request, err error) {
	reply, err := http.Post(d.web+path, "application/json", strings.NewReader(body))
	if err != nil {
		return r, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("POST %s: %s: %s", path, reply.Status, text)
	}
	if err != nil {
		return r, err
	}
	say("-> POST %s %s\n<- %s %s", path, body, reply.Status, text)
	return r, json.Unmarshal(text, &r)
}

// complete waits until every task of a request has ended.
func (d *play) complete(ctx context.Context, correlation string) error {
	for began := time.Now(); time.Since(began) < time.Minute; {
		var status struct {
			Tasks, Ended int
			Complete     bool
		}
		if err := get(d.web+"/requests/"+correlation, &status); err != nil {
			return err
		}
		if status.Complete {
			say("   GET /requests/%s -> %d of %d tasks have ended, after %s\n", correlation, status.Ended, status.Tasks, time.Since(began).Round(time.Millisecond))
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("a request is not complete after a minute")
}

func (d *play) perform(ctx context.Context) error {
	const regions = `["DE", "FR", "NL", "BE", "AT", "CH"]`
	var last request
	for _, step := range []struct{ path, body string }{
		{"/weather", `{"regions": ` + regions + `, "days": 14}`},
		{"/risk/refresh", `{"regions": ` + regions + `, "shards": 3, "draws": 2000}`},
		{"/risk/refresh", `{"regions": ` + regions + `, "shards": 3, "draws": 4000}`},
	} {
		r, err := d.post(step.path, step.body)
		if err != nil {
			return err
		}
		if err := d.complete(ctx, r.CorrelationID); err != nil {
			return err
		}
		last = r
	}
	d.correlation = last.CorrelationID
	if err := d.claimTwice(ctx); err != nil {
		return err
	}
	for _, mode := range []string{"public", "broker"} {
		if err := d.read(ctx, "/risk/l1", mode); err != nil {
			return err
		}
	}
	say("\n-> the whole trail of the last refresh: lovage ledger show %s\n", last.TaskIDs[0])
	if err := d.lovage(ctx, os.Stdout, "ledger", "show", last.TaskIDs[0]); err != nil {
		return err
	}
	say("\n-> lovage runs rollback risk --why 'the new one looks wrong'")
	if err := d.lovage(ctx, os.Stdout, "runs", "rollback", "risk", "--who", "demo", "--why", "the new one looks wrong"); err != nil {
		return err
	}
	return d.lovage(ctx, os.Stdout, "runs", "show", "risk")
}

// claimTwice asks for one claim twice, as an impatient user does.
func (d *play) claimTwice(ctx context.Context) error {
	const body = `{"policy": "P-1001", "product_id": "hail-basic", "region_code": "DE", "sum_insured": "25000.00", "event_date": "2026-10-20"}`
	for range 2 {
		r, err := d.post("/claims", body)
		if err != nil {
			return err
		}
		if err := d.complete(ctx, r.CorrelationID); err != nil {
			return err
		}
	}
	var claims []json.RawMessage
	if err := get(d.web+"/claims/P-1001", &claims); err != nil {
		return err
	}
	say("   GET /claims/P-1001 -> %s", claims)
	if len(claims) != 1 {
		return fmt.Errorf("two requests for one claim made %d rows", len(claims))
	}
	say("   two requests, one row\n")
	return nil
}

func (d *play) read(ctx context.Context, path, mode string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.web+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Access-Mode", mode)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	say("   GET %s as %-7s -> %s %s", path, mode, reply.Status, text)
	return err
}
