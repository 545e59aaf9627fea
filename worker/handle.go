package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// ErrDuplicate says that a task name has been registered before.
var ErrDuplicate = errors.New("task is registered already")

// handler is a registered task.
type handler struct {
	name    string
	run     tasks.Func
	options tasks.Options
	// errback is set for what HandleErrback has registered.
	errback func(context.Context, tasks.Failed) error
}

// Handle registers fn as the handler of a task. In is bound from the message's arguments as Python binds a function's parameters: see
// tasks.Typed. It fails for a name that is registered already, for an In that cannot be bound, and after Run.
func Handle[In, Out any](w *Worker, name string, fn func(context.Context, In) (Out, error), options ...tasks.Option) error {
	run, err := tasks.Typed(name, fn)
	if err != nil {
		return fmt.Errorf("register task %s: %w", name, err)
	}
	return HandleFunc(w, name, run, options...)
}

// HandleErrback registers an errback: a callback for link_error that is told how a task failed (in Python: a task that takes request, exc and traceback). It runs in the worker in which the task failed, before the
// failure is settled, so it can run twice for one failure; its error is logged. Errbacks that are registered with Handle, or nowhere, are sent as
// tasks, with the id of the failed task as argument.
func HandleErrback(w *Worker, name string, run func(context.Context, tasks.Failed) error) error {
	return w.register(&handler{name: name, errback: run, run: func(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
		return nil, tasks.Raise("TypeError", name+"() is an errback: it runs where a task fails, and cannot be sent")
	}})
}

// HandleFunc registers a handler that reads its arguments itself.
func HandleFunc(w *Worker, name string, run tasks.Func, options ...tasks.Option) error {
	if w.config.PlainTypes {
		run = plainTypes(run)
	}
	h := &handler{name: name, run: run}
	for _, option := range options {
		option(&h.options)
	}
	return w.register(h)
}

func (w *Worker) register(h *handler) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handlers == nil {
		return fmt.Errorf("register task %s: %w", h.name, ErrRunning)
	}
	if _, exists := w.handlers[h.name]; exists {
		return fmt.Errorf("register task %s: %w", h.name, ErrDuplicate)
	}
	w.handlers[h.name] = h
	return nil
}

// plainTypes writes the typed values of a handler's result as text.
func plainTypes(run tasks.Func) tasks.Func {
	plain := protocol.Marshaler{PlainTypes: true}
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		result, err := run(ctx, args, kwargs)
		if err != nil {
			return nil, err
		}
		if result, err = plain.Marshal(result); err != nil {
			return nil, tasks.EncodeError(err)
		}
		return result, nil
	}
}
