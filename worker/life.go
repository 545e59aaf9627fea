package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
)

// life is the worker under one identity: a session, what it holds, and the services that work on it. When the lease is lost the life ends
// with transport.ErrLeaseLost and the worker begins another.
type life struct {
	*Worker
	session *transport.Session
	known   map[string]*handler
	state   *brokerState

	held    *held
	parking *parking
	flow    *flow
	// fencedLook is when recoverOthers last looked at the list of fenced workers.
	fencedLook time.Time
	jobs       chan *job        // claimed, waiting for a runner; never blocks: flow bounds what is claimed
	ends       chan *settlement // to the settler
	lost       sync.Once
}

// job is one claimed message on its way through the worker.
type job struct {
	claim transport.Claim
	since time.Time
	// id is the task's, known once it has started; cancel ends the handler's context, set while it runs. held guards both.
	id     string
	cancel context.CancelCauseFunc
}

func newWorkerID() string { return uuid.NewString() }

func newLife(w *Worker, session *transport.Session, handlers map[string]*handler, state *brokerState) *life {
	most := w.config.Concurrency + max(0, w.config.Prefetch)
	return &life{
		Worker:  w,
		session: session,
		known:   handlers,
		state:   state,
		held:    newHeld(),
		parking: newParking(),
		flow:    newFlow(w.config.Concurrency, max(0, w.config.Prefetch)),
		jobs:    make(chan *job, 2*most+len(w.config.Queues)+16),
		ends:    make(chan *settlement, 4096),
	}
}

// run keeps the services going until ctx ends (warm shutdown), Terminate is called (cold shutdown) or the lease is lost, and returns when
// all of them have ended.
//
// They end in the order of the line: first the fetching, then the runners (warm: when their handlers return), then the settler, and
// the keeper of the lease last, so that nothing that still runs is restored by others.
func (l *life) run(ctx context.Context) error {
	// base outlives the warm shutdown; it ends when the lease is lost or when all is done.
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	fetching, stopFetching := context.WithCancel(base)
	stopAfter := context.AfterFunc(ctx, stopFetching)
	defer stopAfter()

	var keepers, settling, running sync.WaitGroup
	keepers.Go(func() { l.keep(base, end) })
	keepers.Go(func() { l.recoverOthers(fetching) })
	keepers.Go(func() { l.restoreAbandoned(fetching) })
	settling.Go(func() { l.settleAll(base, end) })
	for range l.config.Concurrency {
		running.Go(func() { l.runJobs(base) })
	}

	l.fetch(fetching, end)
	stopFetching()
	l.giveBackUnstarted()
	cold := l.drain(base, &running)
	close(l.ends)
	settling.Wait()

	cause := context.Cause(base)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var closeErr error
	if cause == nil {
		closeErr = l.session.Close(closing)
	}
	end(nil)
	keepers.Wait()
	switch {
	case errors.Is(cause, transport.ErrLeaseLost):
		return cause
	case closeErr != nil:
		l.log.Warn("could not give up the lease; others take over what is left when it lapses", zap.Error(closeErr))
	}
	if cold {
		return ErrColdShutdown
	}
	return nil
}

// drain waits for the runners. A cold shutdown, or the end of the drain timeout, cancels the handlers; what does not finish is given back.
func (l *life) drain(base context.Context, running *sync.WaitGroup) (cold bool) {
	close(l.jobs)
	finished := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() { running.Wait(); close(finished) })
	defer waiter.Wait()

	var timeout <-chan time.Time
	if l.config.DrainTimeout > 0 {
		timer := time.NewTimer(l.config.DrainTimeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-finished:
		return false
	case <-base.Done():
		l.held.cancelAll(context.Cause(base))
	case <-l.cold:
		l.held.cancelAll(ErrColdShutdown)
		cold = true
	case <-timeout:
		l.log.Warn("drain timeout; giving back what still runs", zap.Duration("after", l.config.DrainTimeout))
		l.held.cancelAll(ErrColdShutdown)
	}
	<-finished
	return cold
}

// giveBackUnstarted returns claims that no runner has taken to the head of their queues, newest first, so that they come out in their old order.
func (l *life) giveBackUnstarted() {
	var unstarted []*job
	for {
		select {
		case j := <-l.jobs:
			unstarted = append(unstarted, j)
			continue
		default:
		}
		break
	}
	for i := len(unstarted) - 1; i >= 0; i-- {
		l.flow.start()
		l.ends <- l.giveBack(unstarted[i])
	}
	if len(unstarted) > 0 {
		l.log.Info("gave back messages that had not started", zap.Int("messages", len(unstarted)))
	}
}
