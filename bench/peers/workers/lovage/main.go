// Command lovage is a Lovage worker with the benchmark's tasks.
package main

import (
	"context"
	"log"
	"os"
	"runtime/pprof"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/bench/peers/record"
	"github.com/lovage-go/lovage/examples/quickstart/risk"
	"github.com/lovage-go/lovage/worker"
)

type one struct {
	I    int
	Fill string `default:""` // of the rows about large payloads
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	env, err := record.FromEnvironment()
	if err != nil {
		return err
	}
	logger, err := zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel))
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{BrokerURL: env.Broker, Queues: []string{env.Queue}, Concurrency: env.Concurrency, Logger: logger})
	if err != nil {
		return err
	}
	if err := worker.Handle(w, "bench.count", func(_ context.Context, in one) (any, error) { env.Count(in.I); return nil, nil }); err != nil {
		return err
	}
	if err := worker.Handle(w, "bench.stamp", func(_ context.Context, in one) (any, error) { env.Stamp(in.I); return nil, nil }); err != nil {
		return err
	}
	if err := worker.Handle(w, "bench.slow", func(ctx context.Context, in one) (any, error) { return nil, env.Slow(ctx, in.I, env.Pause) }); err != nil {
		return err
	}
	if err := worker.Handle(w, "risk.score", func(ctx context.Context, in risk.Request) (risk.Score, error) {
		return risk.Compute(ctx, in)
	}); err != nil {
		return err
	}
	if env.Profile == "" {
		return w.Main(context.Background())
	}
	file, err := os.Create(env.Profile)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return w.Main(context.Background())
}
