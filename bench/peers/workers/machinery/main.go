// Command machinery is a machinery worker with the benchmark's tasks.
package main

import (
	"context"
	stdlog "log"
	"os"

	"github.com/RichardKnop/machinery/v2"
	backends "github.com/RichardKnop/machinery/v2/backends/iface"
	"github.com/RichardKnop/machinery/v2/backends/null"
	redisbackend "github.com/RichardKnop/machinery/v2/backends/redis"
	redisbroker "github.com/RichardKnop/machinery/v2/brokers/redis"
	"github.com/RichardKnop/machinery/v2/config"
	"github.com/RichardKnop/machinery/v2/locks/eager"
	"github.com/RichardKnop/machinery/v2/log"

	"github.com/lovage-go/lovage/bench/peers/record"
)

func main() {
	if err := run(); err != nil {
		stdlog.Fatal(err)
	}
}

func run() error {
	env, err := record.FromEnvironment()
	if err != nil {
		return err
	}
	// Quiet but for errors, as the other workers are.
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	quiet := stdlog.New(nobody, "", 0)
	log.SetDebug(quiet)
	log.SetInfo(quiet)

	cnf := &config.Config{
		DefaultQueue: env.Queue, ResultsExpireIn: 86400,
		Redis: &config.RedisConfig{
			MaxIdle: 10, IdleTimeout: 240, ReadTimeout: 15, WriteTimeout: 15, ConnectTimeout: 15,
			NormalTasksPollPeriod: 1000, DelayedTasksPollPeriod: 500,
		},
	}
	var backend backends.Backend = null.New()
	if env.Results {
		backend = redisbackend.New(cnf, env.Address, "", "", 0)
	}
	server := machinery.NewServer(cnf, redisbroker.New(cnf, env.Address, "", "", 0), backend, eager.New())
	err = server.RegisterTasks(map[string]any{
		"bench.count": func(i int) error { env.Count(i); return nil },
		"bench.stamp": func(i int) error { env.Stamp(i); return nil },
		"bench.slow":  func(i int) error { return env.Slow(context.Background(), i, env.Pause) },
	})
	if err != nil {
		return err
	}
	return server.NewWorker("bench", env.Concurrency).Launch()
}
