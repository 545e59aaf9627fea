package worker

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// runJobs is one runner: it takes jobs one after the other until there are no more. A handler that ends its goroutine (runtime.Goexit, which a test's FailNow calls) ends
// the runner with it: another one takes its place.
func (l *life) runJobs(base context.Context, running *sync.WaitGroup) {
	var current *job
	defer func() {
		if current != nil {
			running.Go(func() { l.runJobs(base, running) })
			l.exited(base, current)
		}
	}()
	for j := range l.jobs {
		current = j
		l.flow.start()
		if base.Err() != nil { // the lease is lost: these are others' messages now
			l.flow.finish(0)
			current = nil
			continue
		}
		started := time.Now()
		end := l.process(base, j)
		l.flow.finish(time.Since(started))
		if end != nil {
			l.settle(base, end)
		}
		current = nil
	}
}

// exited settles a message whose handler has neither returned nor panicked.
func (l *life) exited(base context.Context, j *job) {
	l.held.finish(j)
	l.flow.finish(time.Since(j.since))
	task, err := l.decode(j)
	if err != nil { // it was decoded before
		return
	}
	h := l.known[task.Name]
	l.settle(base, l.ended(j, task, h, nil, tasks.Raise("RuntimeError", "the handler ended its goroutine: runtime.Goexit"), l.earlyAck(h)))
}

// process takes one message through decode, admit and run, and tells how to settle it.
func (l *life) process(base context.Context, j *job) *settlement {
	task, err := l.decode(j)
	if err != nil {
		return l.undecodable(j, task, err)
	}
	h := l.known[task.Name]
	switch admit(task, h != nil, time.Now(), l.config.MaxDeliveries) {
	case unregistered:
		return l.unregistered(j, task)
	case poisoned:
		return l.poisoned(j, task)
	case expired:
		return l.expired(j, task, h)
	case park:
		return l.park(j, task.ETA.Time)
	}
	return l.execute(base, j, task, h)
}

// execute runs the handler of an admitted task.
func (l *life) execute(base context.Context, j *job, task *protocol.Task, h *handler) *settlement {
	ctx, cancel := context.WithCancelCause(base)
	defer cancel(nil)
	if task.Deliveries > 0 {
		if err := l.session.MarkStarted(ctx, j.claim.Seq); err != nil {
			l.log.Warn("could not note the start of a redelivered message; if this worker dies now the delivery is not counted", zap.Error(err))
		}
	}
	early := l.earlyAck(h)
	if early && !l.acknowledge(base, j) {
		return nil
	}
	if l.trackStarted(h) {
		l.settle(ctx, l.started(j, task, h))
	}
	l.held.begin(j, task.ID, cancel)
	j.running = &running{life: l, task: task}
	ctx = context.WithValue(ctx, runningKey{}, j.running)
	ctx = tasks.NewContext(ctx, tasks.NewRequest(task, j.claim.Queue, l.config.Hostname))
	result, err := call(ctx, h.run, task)
	l.held.finish(j)

	if err != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, transport.ErrLeaseLost):
			return nil // others have the message
		case errors.Is(cause, ErrColdShutdown) && !early:
			return l.giveBack(j)
		}
	}
	return l.ended(j, task, h, result, err, early)
}

// call runs a handler. A panic becomes the error of this task and of no other.
func call(ctx context.Context, run tasks.Func, task *protocol.Task) (result protocol.Raw, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &tasks.Panic{Value: value, Stack: debug.Stack()}
		}
	}()
	if result, err = run(ctx, task.Args, task.Kwargs); err != nil {
		_, _ = err.Error(), traceback(err) // an error whose methods panic (a nil pointer, mostly) must do it here, where only its own task fails
	}
	return result, err
}

func (l *life) earlyAck(h *handler) bool {
	if h.options.AcksLate != nil {
		return !*h.options.AcksLate
	}
	return l.config.EarlyAck
}

func (l *life) trackStarted(h *handler) bool {
	if h.options.TrackStarted != nil {
		return *h.options.TrackStarted
	}
	return l.config.TrackStarted
}

// ignoreResult: the message's header beats the task's option beats the configuration.
func (l *life) ignoreResult(task *protocol.Task, h *handler) bool {
	switch {
	case l.config.ResultBackend == disabled:
		return true
	case task.IgnoreResult != nil:
		return *task.IgnoreResult
	case h != nil && h.options.IgnoreResult != nil:
		return *h.options.IgnoreResult
	}
	return l.config.IgnoreResult
}

func (l *life) storeErrors(task *protocol.Task, h *handler) bool {
	if l.config.ResultBackend == disabled {
		return false
	}
	if h != nil && h.options.StoreErrorsEvenIfIgnored != nil && *h.options.StoreErrorsEvenIfIgnored {
		return true
	}
	return l.config.StoreErrorsEvenIfIgnored || !l.ignoreResult(task, h)
}
