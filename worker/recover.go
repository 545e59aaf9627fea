package worker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/protocol"
)

// recoverOthers watches the leases of the fleet and restores the claims of workers whose lease has lapsed, until ctx ends.
//
// After the broker was away nobody could renew, so nobody is fenced before the broker has answered for a whole lease: every living
// worker has come back by then.
func (l *life) recoverOthers(ctx context.Context) {
	every := l.config.Lease / 3
	pause := every
	for sleep(ctx, pause) {
		pause = every
		if !l.state.steady(l.config.Lease) {
			pause = min(pause, time.Second)
			continue
		}
		next, err := l.recoverLapsed(ctx)
		if err != nil {
			if ctx.Err() == nil {
				pause = l.state.failed(err)
			}
			continue
		}
		// Look again just after the next lease to end, should it not be renewed.
		if !next.IsZero() {
			pause = min(pause, max(0, time.Until(next))+50*time.Millisecond)
		}
	}
}

func (l *life) recoverLapsed(ctx context.Context) (next time.Time, err error) {
	lapsed, next, err := l.broker.Lapsed(ctx)
	if err != nil {
		return next, err
	}
	for _, id := range lapsed {
		fenced, err := l.broker.Fence(ctx, id)
		if err != nil {
			return next, err
		}
		if fenced {
			l.log.Warn("the lease of a worker has lapsed; restoring its claims", zap.String("lapsed_worker_id", id))
		}
	}
	if len(lapsed) == 0 && time.Since(l.fencedLook) < l.config.Lease {
		return next, nil
	}
	l.fencedLook = time.Now()
	fenced, err := l.broker.Fenced(ctx)
	if err != nil {
		return next, err
	}
	for _, id := range fenced {
		restored, err := l.broker.Recover(ctx, id, redeliver)
		if restored > 0 {
			l.log.Info("restored the claims of a lost worker", zap.String("lapsed_worker_id", id), zap.Int("messages", restored))
		}
		if err != nil {
			return next, err
		}
	}
	return next, nil
}

// redeliver marks a message as redelivered, as kombu does, and counts the delivery: the first one always, later ones when the handler had been started
// (a message that merely waited in a worker that died is not suspected again and again).
func redeliver(message []byte, started bool) []byte {
	deliveries := 1
	if task, _ := protocol.ParseTask(message, protocol.Limits{}); task != nil {
		deliveries = task.Deliveries
		if started || deliveries == 0 {
			deliveries++
		}
	}
	marked, err := protocol.MarkRedelivered(message, deliveries)
	if err != nil {
		return message // not an envelope: whoever takes it next moves it to the dead letters
	}
	return marked
}

// restoreAbandoned does for all consumers what kombu's consumers do: it restores entries of unacked that nobody has refreshed within the
// visibility timeout, under kombu's own mutex. They are Python workers' claims, and parked messages that no worker has taken.
func (l *life) restoreAbandoned(ctx context.Context) {
	for sleep(ctx, min(100*time.Second, l.broker.VisibilityTimeout()/2)) {
		if !l.state.steady(l.config.Lease) {
			continue
		}
		restored, err := l.broker.RestoreAbandoned(ctx, func(message []byte) []byte { return redeliver(message, false) })
		if restored > 0 {
			l.log.Warn("restored messages that were unacknowledged for longer than the visibility timeout", zap.Int("messages", restored))
		}
		if err != nil && ctx.Err() == nil {
			l.state.failed(err)
		}
	}
}
