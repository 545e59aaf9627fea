package worker

import (
	"sync"
	"time"
)

// lookahead is how much work, in time, a worker claims beyond what it runs: enough to hide a round trip, little enough to leave the rest to others.
const lookahead = 50 * time.Millisecond

// flow decides how many messages to claim next. A worker with slow handlers claims only what it can start soon.
type flow struct {
	concurrency, prefetch int

	mu      sync.Mutex
	waiting int           // claimed, not started
	running int           // started, not finished
	ending  int           // finished, not settled
	average time.Duration // of recent runs; 0: none yet
	freed   chan struct{} // holds one token when want may have risen
}

func newFlow(concurrency, prefetch int) *flow {
	return &flow{concurrency: concurrency, prefetch: prefetch, freed: make(chan struct{}, 1)}
}

// target is how many messages should be waiting or running: a free runner each, and what the runners can start within the lookahead.
// Until the first run has ended nothing is known, and nothing is claimed ahead.
func target(concurrency, prefetch int, average time.Duration) int {
	if average <= 0 {
		return concurrency
	}
	ahead := int64(concurrency) * int64(lookahead) / int64(average)
	return concurrency + int(min(ahead, int64(prefetch)))
}

// want tells how many messages to claim now. While enough are waiting it is 0, so that claims come in batches and not one by one.
func (f *flow) want() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := target(f.concurrency, f.prefetch, f.average)
	ahead := most - f.concurrency
	if f.waiting > ahead/2 {
		return 0
	}
	// What has ended but is not settled (Redis is slow or away) is still held.
	return max(0, min(most-f.waiting-f.running, 2*(f.concurrency+f.prefetch)-f.waiting-f.running-f.ending))
}

func (f *flow) claimed(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting += n
}

func (f *flow) start() {
	f.mu.Lock()
	f.waiting--
	f.running++
	f.mu.Unlock()
	f.signal()
}

// finish notes the end of a run that took d.
func (f *flow) finish(d time.Duration) {
	f.mu.Lock()
	f.running--
	f.ending++
	d = max(d, time.Microsecond)
	if f.average == 0 {
		f.average = d
	} else {
		f.average += (d - f.average) / 16
	}
	f.mu.Unlock()
	f.signal()
}

func (f *flow) settled(n int) {
	f.mu.Lock()
	f.ending -= n
	f.mu.Unlock()
	f.signal()
}

func (f *flow) signal() {
	select {
	case f.freed <- struct{}{}:
	default:
	}
}
