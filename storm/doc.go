// Package storm keeps a storm of triggers from becoming a storm of work.
//
//	Control.Pause, Resume, Throttle     a task, across the fleet, within a second: `lovage tasks pause NAME --why ...`
//	Control.Guard(name, run, Limits)    a handler that obeys them, with a circuit breaker and a bound on how many run at once in the fleet
//	Control.Dedupe                      "already queued": the id of the first message of a key within a window
//	Shards                              one request cut into n parts, the same way each time
//
// A message that may not run now is put off: it goes back to its queue with a due time. Celery's retry count rises with each time.
// Messages are not folded into batches: see the README.
package storm
