package worker

import (
	"context"
	"sync"
	"time"
)

// parking knows when the earliest parked message of each queue is due. What this worker parks it notes at once; what others park, or
// left behind, it learns from its polls.
type parking struct {
	mu     sync.Mutex
	next   map[string]time.Time
	notes  int // how often something was noted
	sooner chan struct{}
}

func newParking() *parking {
	return &parking{next: map[string]time.Time{}, sooner: make(chan struct{}, 1)}
}

// note tells that a message was parked.
func (p *parking) note(queue string, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes++
	if next, ok := p.next[queue]; ok && !due.Before(next) {
		return
	}
	p.next[queue] = due
	select {
	case p.sooner <- struct{}{}:
	default:
	}
}

// mark is taken before Redis is asked what is parked, and given to set with the answer.
func (p *parking) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.notes
}

// set replaces what is known of a queue by Redis' answer; zero: nothing is parked. What was noted while Redis was asked may not be in the answer, and
// is kept.
func (p *parking) set(queue string, next time.Time, mark int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.next[queue]; p.notes != mark && ok && (next.IsZero() || known.Before(next)) {
		return
	}
	if next.IsZero() {
		delete(p.next, queue)
		return
	}
	p.next[queue] = next
}

// due lists the queues with a parked message whose time has come.
func (p *parking) due(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var queues []string
	for queue, next := range p.next {
		if !now.Before(next) {
			queues = append(queues, queue)
		}
	}
	return queues
}

// until is how long nothing will be due, at most an hour.
func (p *parking) until(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Hour
	for _, next := range p.next {
		wait = min(wait, next.Sub(now))
	}
	return max(0, wait)
}

// poll looks at everything that a wait on the plain lists does not see: other priority steps and the due-time sets.
func (f *fetcher) poll(ctx context.Context) error {
	f.lastPoll = time.Now()
	busy, err := f.broker.Busy(ctx, f.config.Queues)
	if err != nil || !busy {
		return err
	}
	for _, queue := range f.config.Queues {
		steps, err := f.broker.StepsInUse(ctx, queue)
		if err != nil {
			return err
		}
		for _, step := range steps {
			if f.steps[queue] == nil {
				f.steps[queue] = map[int]bool{}
			}
			f.fresh = f.fresh || !f.steps[queue][step]
			f.steps[queue][step] = true
		}
		mark := f.parking.mark()
		next, err := f.broker.NextDue(ctx, queue)
		if err != nil {
			return err
		}
		f.parking.set(queue, next, mark)
	}
	return nil
}
