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
	// Settlements that have made a chord complete come back to the settler by dispatched when its body is composed; undispatched, the settler's own, counts
	// those that are on their way.
	dispatched   chan *settlement
	dispatching  sync.WaitGroup
	undispatched int
	// replyTo is what this worker writes into reply_to of what it sends.
	replyTo string
	lost    sync.Once
}

// job is one claimed message on its way through the worker.
type job struct {
	claim transport.Claim
	since time.Time
	// id is the task's, known once it has started; cancel ends the handler's context, set while it runs. held guards both.
	id     string
	cancel context.CancelCauseFunc
	// running is what the handler has asked to be sent.
	running *running
}

func newWorkerID() string { return uuid.NewString() }

func newLife(w *Worker, session *transport.Session, handlers map[string]*handler, state *brokerState) *life {
	most := w.config.Concurrency + max(0, w.config.Prefetch)
	l := &life{
		Worker:  w,
		session: session,
		state:   state,
		held:    newHeld(),
		parking: newParking(),
		flow:    newFlow(w.config.Concurrency, max(0, w.config.Prefetch)),
		jobs:    make(chan *job, 2*most+len(w.config.Queues)+16),
		ends:    make(chan *settlement, 4096),

		dispatched: make(chan *settlement),
		replyTo:    uuid.NewString(),
	}
	l.known = l.builtins(handlers)
	return l
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
		running.Go(func() { l.runJobs(base, &running) })
	}

	l.fetch(fetching, end)
	stopFetching()
	l.giveBackUnstarted(base)
	cold := l.drain(base, end, &running)
	l.awaitSettled(base, end, &settling)

	cause := context.Cause(base)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	var closeErr error
	if !errors.Is(cause, transport.ErrLeaseLost) {
		closeErr = l.session.Close(closing) // gives back whatever is still claimed
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

// grace is how long a shutdown that is not to wait any more still waits: for handlers to notice that they are cancelled, and for a broker that is away.
const grace = 5 * time.Second

// errAbandoned ends a life whose handlers ignore their cancelled contexts. Goroutines cannot be killed: their messages are given back, their results are not stored, and
// they end with the process.
var errAbandoned = errors.New("handlers did not end when they were cancelled")

// errUnsettled ends a life that could not settle all before it had to end; the messages run again.
var errUnsettled = errors.New("the broker was away until the shutdown had to end")

// drain waits for the runners. A cold shutdown, or the end of the drain timeout, cancels the handlers; what does not finish is given back.
func (l *life) drain(base context.Context, end context.CancelCauseFunc, running *sync.WaitGroup) (cold bool) {
	close(l.jobs)
	finished := done(running)
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
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-finished:
	case <-patience.C:
		l.log.Error("handlers ignore that they are cancelled; giving their messages back", zap.Strings("task_ids", l.held.taskIDs(100)))
		end(errAbandoned)
	}
	return cold
}

// awaitSettled waits until everything is settled. While the broker is away that takes as long as it takes, unless the shutdown is cold or has a time limit.
func (l *life) awaitSettled(base context.Context, end context.CancelCauseFunc, settling *sync.WaitGroup) {
	if base.Err() == nil {
		close(l.ends) // all senders have ended
	}
	settled := done(settling)
	limit := make(chan struct{})
	if l.config.DrainTimeout > 0 {
		timer := time.AfterFunc(max(grace, l.config.DrainTimeout), func() { close(limit) })
		defer timer.Stop()
	}
	select {
	case <-settled:
		return
	case <-l.cold:
	case <-limit:
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
		l.log.Error("could not settle before the shutdown had to end; the messages will run again", zap.Int("messages", l.held.len()))
		end(errUnsettled)
		<-settled
	}
}

// done tells by a channel when a group has ended.
func done(group *sync.WaitGroup) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	return ended
}

// settle hands a settlement to the settler, unless the life ends first.
func (l *life) settle(base context.Context, s *settlement) {
	select {
	case l.ends <- s:
	case <-base.Done():
	}
}

// giveBackUnstarted returns claims that no runner has taken to the head of their queues, newest first, so that they come out in their old order.
func (l *life) giveBackUnstarted(base context.Context) {
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
		l.settle(base, l.giveBack(unstarted[i]))
	}
	if len(unstarted) > 0 {
		l.log.Info("gave back messages that had not started", zap.Int("messages", len(unstarted)))
	}
}
