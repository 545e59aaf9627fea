// Command worker is the Go side of the insurance example: the four tasks, and the relay of the outbox.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"sync"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/examples/insurance/insurance"
	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/once"
	"github.com/lovage-go/lovage/outbox"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/worker"
)

func main() {
	if err := run(context.Background(), os.Getenv("LOVAGE_DATABASE_URL"), os.Getenv("CELERY_BROKER_URL")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, databaseURL, brokerURL string) (err error) {
	logger, err := zap.NewProduction(zap.WithCaller(false))
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := store.Migrate(ctx, db.DB.DB); err != nil {
		return err
	}
	locks, err := lockutil.New(lockutil.Config{URL: brokerURL, Floor: func(ctx context.Context) (int64, error) { return lockutil.Floor(ctx, db.DB.DB) }})
	if err != nil {
		return err
	}
	defer locks.Close()
	values, err := cache.New(brokerURL)
	if err != nil {
		return err
	}
	defer values.Close()
	book, err := ledger.New(ledger.Config{Store: db, Logger: logger})
	if err != nil {
		return err
	}
	book.Start()
	defer func() { err = errors.Join(err, book.Stop()) }()
	kit, err := once.New(ctx, once.Config{Store: db, Locks: locks, Ledger: book, Modes: insurance.Modes(), Logger: logger})
	if err != nil {
		return err
	}
	defer kit.Close()
	relay, err := outbox.New(outbox.Config{Store: db, BrokerURL: brokerURL, Invalidate: values.Switched, Logger: logger})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{BrokerURL: brokerURL, Queues: []string{insurance.Queue}, Concurrency: 4, Logger: logger})
	if err != nil {
		return err
	}
	if err := insurance.Register(w, kit, values); err != nil {
		return err
	}
	relaying, stop := context.WithCancel(ctx)
	var services sync.WaitGroup
	services.Go(func() { _ = relay.Run(relaying) })
	err = w.Main(ctx)
	stop()
	services.Wait()
	return err
}
