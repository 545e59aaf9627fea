// Command worker is the Go side of the quickstart: it serves the queue that the FastAPI application sends to.
package main

import (
	"context"
	"log"

	"github.com/lovage-go/lovage/examples/quickstart/risk"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func main() {
	w, err := worker.New(worker.Config{Queues: []string{"heavy"}})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle(w, "risk.score", func(ctx context.Context, in risk.Request) (risk.Score, error) {
		if in.Size < 1 || in.Size > 4096 || in.Runs < 1 {
			return risk.Score{}, tasks.Raise("ValueError", "size must be in 1..4096 and runs at least 1")
		}
		return risk.Compute(ctx, in)
	}, tasks.TrackStarted(true))
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Main(context.Background()); err != nil {
		log.Fatal(err)
	}
}
