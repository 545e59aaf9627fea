package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func devCommand() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "An embedded broker and a worker with a few tasks, to try things with; keeps nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return dev(cmd.Context(), cmd.OutOrStdout(), port)
		},
	}
	cmd.Flags().IntVar(&port, "port", 6380, "port of the embedded broker; 0: a free one")
	return cmd
}

// dev runs until ctx ends.
func dev(ctx context.Context, out io.Writer, port int) error {
	broker := miniredis.NewMiniRedis()
	if err := broker.StartAddr(fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
		return fmt.Errorf("start the embedded broker on port %d (choose another with --port): %w", port, err)
	}
	defer broker.Close()
	url := "redis://" + broker.Addr() + "/0"
	// miniredis' clock for expiry is moved by hand.
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	ticking, stop := context.WithCancel(ctx)
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		for {
			select {
			case <-ticker.C:
				broker.FastForward(time.Second)
			case <-ticking.Done():
				return
			}
		}
	}()
	defer func() { stop(); <-ticked }()

	log := zap.NewDevelopmentConfig()
	log.DisableStacktrace, log.DisableCaller = true, true
	log.Level = zap.NewAtomicLevelAt(zap.InfoLevel)
	logger, err := log.Build()
	if err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	w, err := worker.New(worker.Config{BrokerURL: url, ResultBackend: url, Logger: logger})
	if err != nil {
		return err
	}
	if err := registerExamples(w); err != nil {
		return err
	}
	fmt.Fprintf(out, banner, url, url, url)
	return w.Run(ctx)
}

const banner = `
Lovage dev: an embedded broker at %s and a worker on queue "celery".
NOTHING IS KEPT: queues and results are in this process's memory and gone when it ends.

Paste into Python (pip install "celery[redis]"):

    from celery import Celery
    app = Celery(broker="%s", backend="%s")
    app.send_task("tasks.add", (2, 3)).get(timeout=10)               # 5
    app.send_task("tasks.primes", kwargs={"below": 100000}).get(timeout=10)
    app.send_task("tasks.fail", ("no luck",)).get(timeout=10)        # raises ValueError: no luck

Tasks: tasks.add(x, y), tasks.primes(below), tasks.sleep(seconds), tasks.flaky(chance=0.5), tasks.fail(message)
Stop with Ctrl-C.

`

func registerExamples(w *worker.Worker) error {
	type add struct{ X, Y float64 }
	if err := worker.Handle(w, "tasks.add", func(_ context.Context, in add) (float64, error) { return in.X + in.Y, nil }); err != nil {
		return err
	}
	if err := worker.Handle(w, "tasks.primes", func(_ context.Context, in struct{ Below int }) (int, error) { return primes(in.Below) }); err != nil {
		return err
	}
	if err := worker.Handle(w, "tasks.sleep", func(ctx context.Context, in struct{ Seconds float64 }) (string, error) {
		select {
		case <-time.After(time.Duration(in.Seconds * float64(time.Second))):
			return "slept", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}); err != nil {
		return err
	}
	if err := worker.Handle(w, "tasks.flaky", func(_ context.Context, in struct {
		Chance float64 `default:"0.5"`
	}) (string, error) {
		if rand.Float64() < in.Chance {
			return "", tasks.Raise("RuntimeError", "bad luck this time")
		}
		return "good luck this time", nil
	}); err != nil {
		return err
	}
	return worker.Handle(w, "tasks.fail", func(_ context.Context, in struct{ Message string }) (any, error) {
		return nil, tasks.Raise("ValueError", in.Message)
	})
}

// primes counts the primes below n.
func primes(n int) (int, error) {
	if n > 50_000_000 {
		return 0, tasks.Raise("ValueError", "below must not be above 50 million")
	}
	composite := make([]bool, max(0, n))
	count := 0
	for i := 2; i < n; i++ {
		if composite[i] {
			continue
		}
		count++
		for j := i * i; j < n; j += i {
			composite[j] = true
		}
	}
	return count, nil
}
