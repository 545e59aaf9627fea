package template

import (
	"context"
	"errors"
	"os"
	"testing"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/once"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

func lovagePeer() peer {
	return peer{name: "Lovage, package once", tasks: 10_000, times: ledgerTimes, fill: fillCelery,
		start: func(b *testing.B, s *site) *testenv.Process { return program(b, s, "lovage") }}
}

type effectIn struct{ N int }

func serveLovage(ctx context.Context) error {
	db, err := store.Open(ctx, os.Getenv("DATABASE"))
	if err != nil {
		return err
	}
	defer db.Close()
	locks, err := lockutil.New(lockutil.Config{URL: os.Getenv("BROKER")})
	if err != nil {
		return err
	}
	defer locks.Close()
	book, err := ledger.New(ledger.Config{Store: db})
	if err != nil {
		return err
	}
	book.Start()
	kit, err := once.New(ctx, once.Config{Store: db, Locks: locks, Ledger: book})
	if err != nil {
		return err
	}
	defer kit.Close()
	w, err := worker.New(worker.Config{BrokerURL: os.Getenv("BROKER"), Queues: []string{"bench"}, Concurrency: concurrency, IgnoreResult: true, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	insert, err := db.DB.PrepareContext(ctx, "INSERT INTO public.bench_effects (n) VALUES ($1)")
	if err != nil {
		return err
	}
	err = once.Handle(w, kit, once.Task[effectIn, int]{Name: "bench.effect", Needs: []tasks.Dimension{tasks.AccessMode},
		Do: func(ctx context.Context, tx *once.Tx, in effectIn) (int, error) {
			_, err := tx.Stmt(ctx, insert).ExecContext(ctx, in.N)
			tx.Wrote(1)
			return in.N, err
		}})
	if err != nil {
		return err
	}
	return errors.Join(w.Main(ctx), book.Stop())
}
