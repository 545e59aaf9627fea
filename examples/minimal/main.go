// Command minimal is the worker of the README: one task, everything else by default.
package main

import (
	"context"
	"log"

	"github.com/lovage-go/lovage/worker"
)

type Add struct{ X, Y int }

func main() {
	w, err := worker.New(worker.Config{}) // queue "celery"; the broker is CELERY_BROKER_URL
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle(w, "tasks.add", func(_ context.Context, in Add) (int, error) { return in.X + in.Y, nil })
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Main(context.Background()); err != nil { // until SIGTERM or SIGINT
		log.Fatal(err)
	}
}
