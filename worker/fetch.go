package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
)

// pollEvery is how often an idle worker looks at what its wait does not see: higher priority steps and due-time sets.
const pollEvery = 1500 * time.Millisecond

// fetcher claims messages and hands them to the runners: in batches while there are any, and by a blocked wait per queue when there are
// none. A worker that is busy holds no blocked wait.
type fetcher struct {
	*life
	rotation int
	// steps are the priority steps that have been seen in use, on which an idle worker waits as well.
	steps map[string]map[int]bool
	fresh bool // a step was seen for the first time
	// unsure is set when the answer of a claim was lost: until that time the session looks for claims that it does not know.
	unsure   time.Time
	looked   time.Time
	average  atomic.Int64 // size of recent messages
	waiters  map[waitKey]*transport.Waiter
	lastPoll time.Time
}

type waitKey struct {
	queue string
	step  int
}

func (l *life) fetch(ctx context.Context, end context.CancelCauseFunc) {
	f := &fetcher{life: l, steps: map[string]map[int]bool{}, waiters: map[waitKey]*transport.Waiter{}}
	defer func() {
		for _, w := range f.waiters {
			w.Close()
		}
	}()
	for ctx.Err() == nil {
		if err := f.round(ctx); err != nil {
			if errors.Is(err, transport.ErrLeaseLost) {
				f.lose(ctx, end, err)
				return
			}
			if ctx.Err() != nil {
				return // what is left in an inbox goes back when the session is closed
			}
			f.unsure = time.Now().Add(time.Minute)
			sleep(ctx, f.state.failed(err))
			continue
		}
	}
}

// round claims once, or waits: for a free runner, or for a message.
func (f *fetcher) round(ctx context.Context) error {
	if err := f.findOrphans(ctx); err != nil {
		return err
	}
	want := f.flow.want()
	budget := f.config.PrefetchBytes - f.held.bytes()
	if want == 0 || budget <= 0 {
		select {
		case <-f.flow.freed:
		case <-ctx.Done():
		}
		return nil
	}
	want, budget = atOnce(want, f.average.Load()), min(budget, 2*claimBytes)
	taken, err := f.takeDue(ctx, want, budget)
	if err != nil || taken >= want {
		return err
	}
	claims, err := f.session.Claim(ctx, f.rotated(), want-taken, budget)
	f.deliver(claims)
	if err != nil {
		return err
	}
	f.state.ok()
	if len(claims) == 0 && taken == 0 {
		return f.idle(ctx)
	}
	return nil
}

// Bounds of one claim. Larger ones cost Redis more time per message: what it copies does not stay in the processor's cache, and nothing is settled or run meanwhile.
const (
	claimMost  = 250
	claimBytes = 2 << 20
)

// atOnce is how many of the wanted messages to claim in one step, when they have the given size on average.
func atOnce(want int, average int64) int {
	return min(want, claimMost, int(max(1, claimBytes/max(1, average))))
}

// rotated starts with another queue each time (kombu's round robin).
func (f *fetcher) rotated() []string {
	queues := f.config.Queues
	f.rotation = (f.rotation + 1) % len(queues)
	return append(append(make([]string, 0, len(queues)), queues[f.rotation:]...), queues[:f.rotation]...)
}

// takeDue claims parked messages whose time has come.
func (f *fetcher) takeDue(ctx context.Context, want int, budget int64) (int, error) {
	taken := 0
	if time.Since(f.lastPoll) > pollEvery {
		if err := f.poll(ctx); err != nil {
			return 0, err
		}
	}
	for _, queue := range f.parking.due(time.Now()) {
		if taken >= want {
			break
		}
		// Half of the free places, so that a million messages due at once do not keep newer ones waiting.
		mark := f.parking.mark()
		claims, next, err := f.session.Due(ctx, queue, max(1, (want-taken+1)/2), budget)
		f.deliver(claims)
		if err != nil {
			return taken, err
		}
		f.parking.set(queue, next, mark)
		taken += len(claims)
	}
	return taken, nil
}

// deliver hands claims to the runners. The waits of an idle worker call it at once.
func (f *fetcher) deliver(claims []transport.Claim) {
	if len(claims) == 0 {
		return
	}
	now := time.Now()
	average := f.average.Load()
	batch := make([]job, len(claims))
	jobs := make([]*job, len(claims))
	for i, claim := range claims {
		batch[i] = job{claim: claim, since: now}
		jobs[i] = &batch[i]
		average += (int64(claim.Size) - average) / 16
	}
	f.average.Store(average)
	f.held.add(jobs)
	f.flow.claimed(len(jobs))
	for _, j := range jobs {
		f.jobs <- j
	}
}

// mayLook tells whether it is time to look for lost claims.
func (f *fetcher) mayLook() bool {
	return time.Now().Before(f.unsure) && time.Since(f.looked) >= time.Second
}

// findOrphans looks, for a minute after a broken connection, for claims that were made for this session by a script whose answer was lost.
func (f *fetcher) findOrphans(ctx context.Context) error {
	if !f.mayLook() {
		return nil
	}
	claims, err := f.session.ClaimInboxes(ctx, f.config.Queues, len(f.config.Queues), f.config.PrefetchBytes)
	f.deliver(claims)
	if err != nil {
		return err
	}
	claims, err = f.session.Orphans(ctx, f.held.has)
	f.deliver(claims)
	if err != nil {
		return err
	}
	if len(claims) > 0 {
		f.log.Info("found claims whose confirmation had been lost", zap.Int("claims", len(claims)))
	}
	f.looked = time.Now()
	return nil
}
