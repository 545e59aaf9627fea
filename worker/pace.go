package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is the pause after the given number of failures in a row: 50 ms doubled up to 3 s, of which a random half is taken off so that a
// fleet does not come back in step.
func backoff(failures int) time.Duration {
	pause := 3 * time.Second
	if failures < 7 {
		pause = min(pause, 50*time.Millisecond<<max(0, failures-1))
	}
	return pause/2 + rand.N(pause/2)
}

// sleep pauses for d; false means that ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
