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

// HandleFunc registers a handler that reads its arguments itself.
func HandleFunc(w *Worker, name string, run tasks.Func, options ...tasks.Option) error {
	if w.config.PlainTypes {
		run = plainTypes(run)
	}
	h := &handler{name: name, run: run}
	for _, option := range options {
		option(&h.options)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handlers == nil {
		return fmt.Errorf("register task %s: %w", name, ErrRunning)
	}
	if _, exists := w.handlers[name]; exists {
		return fmt.Errorf("register task %s: %w", name, ErrDuplicate)
	}
	w.handlers[name] = h
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
