package template

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/lovage-go/lovage/internal/testenv"
)

// riverPeer has its effect and its completion in one transaction, as River's own documentation has it; its job rows are its ledger. It has no lock.
func riverPeer() peer {
	return peer{name: "River, transactional jobs", tasks: 10_000,
		times: "SELECT 1000 * extract(epoch FROM finalized_at - attempted_at) AS ms FROM river_job WHERE state = 'completed'",
		fill:  fillRiver, start: func(b *testing.B, s *site) *testenv.Process { return program(b, s, "river") }}
}

type riverArgs struct {
	N int `json:"n"`
}

func (riverArgs) Kind() string { return "bench" }

func fillRiver(b *testing.B, s *site, from, to int) {
	b.Helper()
	ctx := b.Context()
	pool, err := pgxpool.New(ctx, s.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var params []river.InsertManyParams
	for i := from; i < to; i++ {
		params = append(params, river.InsertManyParams{Args: riverArgs{i}})
	}
	if _, err := client.InsertManyFast(ctx, params); err != nil {
		b.Fatal(err)
	}
}

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	pool *pgxpool.Pool
}

func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverArgs]) error {
	return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO public.bench_effects (n) VALUES ($1)", job.Args.N); err != nil {
			return err
		}
		if err := river.RecordOutput(ctx, job.Args.N); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
}

func serveRiver(ctx context.Context) error {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE"))
	if err != nil {
		return err
	}
	config.MaxConns = 32
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{pool: pool})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		// With its defaults it fetches at most concurrency jobs every 100 ms: 160 a second here, whatever they cost. It is meant to be as fast as it can.
		FetchCooldown: time.Millisecond, FetchPollInterval: time.Millisecond,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}},
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
