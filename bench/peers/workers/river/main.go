// Command river is a River client that works the benchmark's tasks.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/lovage-go/lovage/bench/peers/record"
)

type args struct {
	// Do says which of the tasks it is: River has one kind per Go type.
	Do string `json:"do"`
	I  int    `json:"i"`
}

func (args) Kind() string { return "bench" }

type worker struct {
	river.WorkerDefaults[args]
	env record.Worker
}

func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	switch job.Args.Do {
	case "bench.count":
		w.env.Count(job.Args.I)
	case "bench.stamp":
		w.env.Stamp(job.Args.I)
	case "bench.slow":
		if err := w.env.Slow(ctx, job.Args.I, w.env.Pause); err != nil {
			return err
		}
	}
	if w.env.Results {
		return river.RecordOutput(ctx, nil)
	}
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	env, err := record.FromEnvironment()
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, env.Broker)
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{env: env})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: env.Concurrency}},
		Workers: workers,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	<-client.Stopped()
	return nil
}
