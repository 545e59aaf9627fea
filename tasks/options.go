package tasks

import "time"

// Options are the settings of one task, under Celery's names. Pointers that are nil leave the choice to the worker's configuration.
type Options struct {
	// AcksLate (acks_late): true acknowledges after the run (Lovage's default), false before it: at most once.
	AcksLate *bool
	// IgnoreResult (ignore_result): store no result. A message's header beats it.
	IgnoreResult *bool
	// StoreErrorsEvenIfIgnored (store_errors_even_if_ignored).
	StoreErrorsEvenIfIgnored *bool
	// TrackStarted (track_started): store STARTED when the handler begins.
	TrackStarted *bool
	// Retry is the policy for failures.
	Retry RetryPolicy
	// SoftTimeLimit and TimeLimit (soft_time_limit, time_limit); 0: none. A message's limits beat them.
	SoftTimeLimit, TimeLimit time.Duration
}

// Option sets one of the Options, per task.
type Option func(*Options)

// AcksLate chooses whether messages of the task are acknowledged after (true) or before (false) they run.
func AcksLate(late bool) Option { return func(o *Options) { o.AcksLate = &late } }

// IgnoreResult chooses whether results of the task are stored.
func IgnoreResult(ignore bool) Option { return func(o *Options) { o.IgnoreResult = &ignore } }

// StoreErrorsEvenIfIgnored stores failures of a task whose results are ignored.
func StoreErrorsEvenIfIgnored(store bool) Option {
	return func(o *Options) { o.StoreErrorsEvenIfIgnored = &store }
}

// TrackStarted stores the state STARTED when the handler begins.
func TrackStarted(track bool) Option { return func(o *Options) { o.TrackStarted = &track } }

// WithRetry sets the policy by which failures are tried again.
func WithRetry(policy RetryPolicy) Option { return func(o *Options) { o.Retry = policy } }
