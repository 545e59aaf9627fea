package worker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
)

// keep renews the lease and keeps the held claims young, until ctx ends. When the lease turns out to be lost it ends the life: handlers
// are cancelled with the cause, and nothing of it can be settled any more.
func (l *life) keep(ctx context.Context, end context.CancelCauseFunc) {
	every := l.config.Lease / 3
	for sleep(ctx, every) {
		every = l.config.Lease / 3
		err := l.session.Renew(ctx)
		if err == nil {
			err = l.session.Refresh(ctx, l.held.olderThan(time.Now().Add(-l.config.Lease/3)))
		}
		switch {
		case err == nil:
			l.state.ok()
		case errors.Is(err, transport.ErrLeaseLost):
			l.lose(ctx, end, err)
			return
		case ctx.Err() == nil:
			every = l.state.failed(err)
		}
	}
}

// lose ends the life: its lease is gone. Whoever notices first, keeper, fetcher or settler, says why and cancels what runs.
func (l *life) lose(ctx context.Context, end context.CancelCauseFunc, err error) {
	l.lost.Do(func() {
		l.reportLoss(ctx)
		l.held.cancelAll(err)
		end(err)
	})
}

// reportLoss says why the lease is gone: others took it, or Redis has lost its memory, and then which claims are gone with it.
func (l *life) reportLoss(ctx context.Context) {
	ids := l.held.taskIDs(100)
	fields := []zap.Field{zap.String("worker_id", l.session.ID()), zap.Int("claims", l.held.len()), zap.Strings("task_ids", ids)}
	fenced, err := l.broker.IsFenced(ctx, l.session.ID())
	switch {
	case err != nil:
		l.log.Error("lease lost; cancelling what runs", append(fields, zap.Error(err))...)
	case fenced:
		l.log.Error("lease lost: this worker was silent for too long and others restored its claims; cancelling what runs", fields...)
	default:
		l.log.Error("Redis has lost its memory, and with it these claims; cancelling what runs", fields...)
	}
}
