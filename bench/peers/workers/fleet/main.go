// Command fleet is many idle Lovage workers in one process, each with its own identity and connections.
package main

import (
	"context"
	"log"
	"sync"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/bench/peers/record"
	"github.com/lovage-go/lovage/worker"
)

func main() {
	env, err := record.FromEnvironment()
	if err != nil {
		log.Fatal(err)
	}
	var fleet sync.WaitGroup
	for range env.Concurrency {
		w, err := worker.New(worker.Config{BrokerURL: env.Broker, Queues: []string{"idle"}, Concurrency: 1, Logger: zap.NewNop()})
		if err != nil {
			log.Fatal(err)
		}
		fleet.Go(func() {
			if err := w.Run(context.Background()); err != nil {
				log.Fatal(err)
			}
		})
	}
	fleet.Wait()
}
