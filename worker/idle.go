package worker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/lovage-go/lovage/internal/transport"
)

// waitTimeout ends a blocked wait: well below the lease, so that the wait of a dead worker is over before its claims are restored.
func waitTimeout(lease time.Duration) time.Duration { return min(10*time.Second, lease*2/3) }

type waited struct {
	key    waitKey
	claims int
	err    error
}

// idle waits on all queues at once until there is more to do than to wait: a batch is to be claimed, a parked message is due, no runner is
// free any more, or ctx ends. Single messages are handed on as they come, and the wait for the next one begins at once.
func (f *fetcher) idle(ctx context.Context) error {
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	results := make(chan waited)
	var waiting sync.WaitGroup
	outstanding := 0
	begin := func(key waitKey) {
		outstanding++
		waiter, most := f.waiter(key), max(1, atOnce(f.flow.want(), f.average.Load())/len(f.config.Queues))
		waiting.Go(func() {
			claims, err := waiter.Wait(ctx, waitTimeout(f.config.Lease), most, max(1, min(2*claimBytes, f.config.PrefetchBytes-f.held.bytes())))
			// Here, not by whoever reads results, and the runner before the next wait: a task that comes alone is to start at once.
			f.deliver(claims)
			if len(claims) == 1 {
				runtime.Gosched()
			}
			results <- waited{key, len(claims), err}
		})
	}
	for _, key := range f.waitKeys() {
		begin(key)
	}
	poll := time.NewTimer(pollEvery)
	defer poll.Stop()
	due := time.NewTimer(f.parking.until(time.Now()))
	defer due.Stop()

	var failure error
	for outstanding > 0 {
		select {
		case r := <-results:
			outstanding--
			if r.err != nil {
				failure = errors.Join(failure, r.err)
				interrupt()
			} else if r.claims > 1 || f.flow.want() == 0 {
				interrupt() // there are more, or no place for more
			} else if ctx.Err() == nil {
				begin(r.key)
			}
		case <-poll.C:
			f.fresh = false
			// An answer was lost a short while ago: what it claimed is looked for between waits, not beside them.
			if err := f.poll(ctx); err != nil || f.fresh || f.mayLook() {
				failure = errors.Join(failure, ignoreEnd(ctx, err))
				interrupt()
			}
			poll.Reset(pollEvery)
			due.Reset(f.parking.until(time.Now()))
		case <-f.parking.sooner:
			due.Reset(f.parking.until(time.Now()))
		case <-due.C:
			interrupt()
		}
	}
	waiting.Wait()
	return failure
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *fetcher) waiter(key waitKey) *transport.Waiter {
	w, ok := f.waiters[key]
	if !ok {
		w = f.session.NewWaiter(key.queue, key.step)
		f.waiters[key] = w
	}
	return w
}

// waitKeys lists what to wait on: the plain list of each queue, and its other priority steps once they have been seen in use.
func (f *fetcher) waitKeys() []waitKey {
	var keys []waitKey
	for _, queue := range f.config.Queues {
		keys = append(keys, waitKey{queue, 0})
		for step := range f.steps[queue] {
			keys = append(keys, waitKey{queue, step})
		}
	}
	return keys
}
