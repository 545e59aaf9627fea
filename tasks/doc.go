// Package tasks is the contract between a worker and the handlers that run on it: how arguments are bound, what a handler may know of its
// message, and what its error means.
//
//	type Add struct{ X, Y int }                                    parameters, in order; keyword arguments by json tag or name
//	func(ctx context.Context, in Add) (int, error)                 a typed handler
//	Typed("tasks.add", fn) ──▶ Func                                what a worker runs: arguments in, result out, both as JSON text
//
//	FromContext(ctx)                    the request, as Celery's self.request
//	Raise("ValueError", "too small")    an exception that Python can name
//	ErrIgnore, Reject(requeue), Retry   an end that is neither success nor failure
//
// A call that does not fit the parameters fails with TypeError in Python's own words before the handler runs.
package tasks
