package tasks

import (
	"errors"
	"fmt"
	"time"
)

// ErrIgnore ends a task without storing a result: Celery's exceptions.Ignore. Return it, or an error that wraps it.
var ErrIgnore = errors.New("ignored")

// Rejected ends a task without a result: Celery's exceptions.Reject. With Requeue the message goes back to its queue, without it to the dead letters.
type Rejected struct {
	Reason  string
	Requeue bool
}

// Error tells the reason.
func (r *Rejected) Error() string { return "rejected: " + r.Reason }

// Reject makes the error that rejects a message.
func Reject(reason string, requeue bool) error { return &Rejected{Reason: reason, Requeue: requeue} }

// Retrying asks for another attempt: Celery's exceptions.Retry, as self.retry() raises it.
type Retrying struct {
	// Err is why; it is raised when no attempts are left. nil: MaxRetriesExceededError is.
	Err error
	// Countdown is the pause before the next attempt; nil means the task's default_retry_delay.
	Countdown *time.Duration
	// ETA is when to try again; it beats Countdown.
	ETA time.Time
	// MaxRetries overrides the task's max_retries.
	MaxRetries *int
}

// Error tells why and when.
func (r *Retrying) Error() string {
	text := "retry"
	switch {
	case !r.ETA.IsZero():
		text += " at " + r.ETA.UTC().Format(time.RFC3339)
	case r.Countdown != nil:
		text += fmt.Sprintf(" in %s", *r.Countdown)
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (r *Retrying) Unwrap() error { return r.Err }

// Retry makes the error that asks for another attempt after the task's default_retry_delay. err is why, and may be nil.
func Retry(err error) error { return &Retrying{Err: err} }

// RetryIn is Retry after the given pause (countdown).
func RetryIn(countdown time.Duration, err error) error {
	return &Retrying{Err: err, Countdown: &countdown}
}

// RetryAt is Retry at the given time (eta).
func RetryAt(eta time.Time, err error) error { return &Retrying{Err: err, ETA: eta} }

// RetryPolicy says which failures are tried again, how often and when. The zero value tries again only what a handler asks for, three times, after
// three minutes each: Celery's defaults.
type RetryPolicy struct {
	// MaxRetries (max_retries): nil is 3, negative is without end (None in Celery).
	MaxRetries *int
	// DefaultRetryDelay (default_retry_delay): default 180 s.
	DefaultRetryDelay time.Duration
	// AutoretryFor (autoretry_for) decides which errors are tried again without being asked; nil: none.
	AutoretryFor func(error) bool
	// DontAutoretryFor (dont_autoretry_for) makes exceptions from AutoretryFor.
	DontAutoretryFor func(error) bool
	// RetryBackoff (retry_backoff) is the factor of the exponential pauses of automatic retries; 0: DefaultRetryDelay each time.
	RetryBackoff time.Duration
	// RetryBackoffMax (retry_backoff_max) bounds the pauses: default 600 s.
	RetryBackoffMax time.Duration
	// NoJitter (retry_jitter=False) takes the full pause instead of a random part of it.
	NoJitter bool
}

// Max is how many retries are allowed; negative: without end.
func (p RetryPolicy) Max() int {
	if p.MaxRetries == nil {
		return 3
	}
	return *p.MaxRetries
}

// Delay is the pause of a retry that a handler asked for without naming one.
func (p RetryPolicy) Delay() time.Duration {
	if p.DefaultRetryDelay <= 0 {
		return 180 * time.Second
	}
	return p.DefaultRetryDelay
}

// Auto tells whether a failure is tried again by policy. What a handler asks for itself (Retry, Reject, ErrIgnore) never is.
func (p RetryPolicy) Auto(err error) bool {
	var retrying *Retrying
	var rejected *Rejected
	var replacement *Replacement
	if errors.As(err, &retrying) || errors.As(err, &rejected) || errors.As(err, &replacement) || errors.Is(err, ErrIgnore) {
		return false
	}
	return p.AutoretryFor != nil && p.AutoretryFor(err) && (p.DontAutoretryFor == nil || !p.DontAutoretryFor(err))
}

// AutoDelay is the pause of an automatic retry after the given number of earlier attempts: min(max, factor * 2^retries) in whole seconds, and with jitter a random
// number of seconds from 0 to that (celery/utils/time.py, get_exponential_backoff_interval). random returns a number in [0, n).
func (p RetryPolicy) AutoDelay(retries int, random func(n int64) int64) time.Duration {
	if p.RetryBackoff <= 0 {
		return p.Delay()
	}
	most := int64(600)
	if p.RetryBackoffMax > 0 {
		most = int64(p.RetryBackoffMax / time.Second)
	}
	seconds := max(1, int64(p.RetryBackoff/time.Second))
	for range min(retries, 62) {
		if seconds >= most {
			break
		}
		seconds *= 2
	}
	seconds = min(seconds, most)
	if !p.NoJitter {
		seconds = random(seconds + 1)
	}
	return time.Duration(max(0, seconds)) * time.Second
}
