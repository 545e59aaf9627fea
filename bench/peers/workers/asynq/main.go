// Command asynq is an asynq server with the benchmark's tasks.
package main

import (
	"context"
	"log"
	"strconv"

	"github.com/hibiken/asynq"

	"github.com/lovage-go/lovage/bench/peers/record"
)

func main() {
	env, err := record.FromEnvironment()
	if err != nil {
		log.Fatal(err)
	}
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: env.Address}, asynq.Config{
		Concurrency: env.Concurrency, Queues: map[string]int{env.Queue: 1}, LogLevel: asynq.WarnLevel,
	})
	handler := func(do func(ctx context.Context, i int) error) asynq.HandlerFunc {
		return func(ctx context.Context, t *asynq.Task) error {
			i, err := strconv.Atoi(string(t.Payload()))
			if err != nil {
				return err
			}
			if err := do(ctx, i); err != nil || !env.Results {
				return err
			}
			_, err = t.ResultWriter().Write([]byte("null"))
			return err
		}
	}
	mux := asynq.NewServeMux()
	mux.Handle("bench.count", handler(func(_ context.Context, i int) error { env.Count(i); return nil }))
	mux.Handle("bench.stamp", handler(func(_ context.Context, i int) error { env.Stamp(i); return nil }))
	mux.Handle("bench.slow", handler(func(ctx context.Context, i int) error { return env.Slow(ctx, i, env.Pause) }))
	if err := server.Run(mux); err != nil {
		log.Fatal(err)
	}
}
