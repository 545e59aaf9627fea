package worker

import (
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// verdict is what becomes of a task before it runs.
type verdict int

const (
	run          verdict = iota
	park                 // not due yet
	expired              // past its expires: revoked, as Celery does
	unregistered         // nobody here knows the task
	poisoned             // delivered too often to workers that died over it
)

// admit decides, from values only. Celery looks at the registration first, then at expires, then at eta.
func admit(task *protocol.Task, known bool, now time.Time, maxDeliveries int) verdict {
	switch {
	case !known:
		return unregistered
	case task.Deliveries >= maxDeliveries:
		return poisoned
	case !task.Expires.IsZero() && now.After(task.Expires.Time):
		return expired
	case !task.ETA.IsZero() && task.ETA.After(now):
		return park
	}
	return run
}
