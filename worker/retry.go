package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// attempt is what the retry policy decides about a failed run.
type attempt struct {
	// again tells that there is another attempt, at eta (zero: at once).
	again bool
	eta   time.Time
	// err is the failure to be raised when there is none, or to be stored with the state RETRY; nil when the handler named none.
	err error
}

// decideRetry applies a task's policy to the error of its handler: a wish to retry (tasks.Retry) or a failure that is tried again by itself. Celery counts as
// we do: with max_retries 3 a task runs at most four times (celery/app/task.py, Task.retry; celery/app/autoretry.py).
func decideRetry(task *protocol.Task, policy tasks.RetryPolicy, err error, now time.Time, random func(int64) int64) attempt {
	var wish *tasks.Retrying
	asked := errors.As(err, &wish)
	if !asked && !policy.Auto(err) {
		return attempt{err: err}
	}
	if !asked {
		delay := policy.AutoDelay(task.Retries, random)
		wish = &tasks.Retrying{Err: err, Countdown: &delay}
	}
	most := policy.Max()
	if wish.MaxRetries != nil {
		most = *wish.MaxRetries
	}
	cause := wish.Err
	if most >= 0 && task.Retries >= most {
		if cause == nil {
			cause = tasks.Raise("celery.exceptions.MaxRetriesExceededError", fmt.Sprintf("Can't retry %s[%s] args:%s kwargs:%s",
				task.Name, task.ID, protocol.ReprArgs(task.Args, 0), protocol.ReprKwargs(task.Kwargs, 0)))
		}
		return attempt{err: cause}
	}
	a := attempt{again: true, eta: wish.ETA, err: cause}
	if a.eta.IsZero() {
		delay := policy.Delay()
		if wish.Countdown != nil {
			delay = *wish.Countdown
		}
		if delay > 0 {
			a.eta = now.Add(delay)
		}
	}
	return a
}

// retry settles a run that is to be tried again: the next attempt's message goes to the tail of the same queue in the same step that ends this one.
func (l *life) retry(s *settlement, j *job, task *protocol.Task, h *handler, a attempt) {
	message, err := task.RetryMessage(protocol.RetryOptions{Retries: task.Retries + 1, ETA: a.eta, DeliveryTag: uuid.NewString()})
	if err != nil { // the message was read before, so it can be written
		l.fail(s, j, task, h, errors.Join(a.err, err))
		return
	}
	l.log.Info("task will be tried again", append(taskFields(task), zap.Time("eta", a.eta), zap.Error(a.err))...)
	s.Effects = append(s.Effects, transport.Push(l.broker.Layout().Queue(j.claim.Queue, task.Priority), message))
	if l.storeErrors(task, h) {
		reason, trace := protocol.Null(), "Retry: "+a.eta.UTC().Format(time.RFC3339)+"\n"
		if a.err != nil {
			reason, trace = tasks.ExceptionOf(a.err).Raw(), traceback(a.err)
		}
		children := canvas.Tuples([]*canvas.Result{{ID: task.ID}}) // the next attempt counts as the task's own child
		s.Effects = append(s.Effects, l.storeWith(task, protocol.Retry, reason, trace, children))
	}
}

// random is the jitter of automatic retries.
func random(n int64) int64 { return rand.Int64N(max(1, n)) }
