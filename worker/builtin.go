package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// builtins are the tasks that every Celery worker knows (celery/app/builtins.py). A name that the user has registered is the user's.
func (l *life) builtins(handlers map[string]*handler) map[string]*handler {
	known := map[string]*handler{
		"celery.accumulate":   {run: accumulate},
		"celery.map":          {run: l.xmap(func(item protocol.Raw) ([]protocol.Raw, error) { return []protocol.Raw{item}, nil })},
		"celery.starmap":      {run: l.xmap(protocol.Raw.Elements)},
		"celery.chunks":       {run: chunks},
		"celery.group":        {run: group},
		"celery.chain":        {run: chain},
		"celery.chord":        {run: chord},
		"celery.chord_unlock": {run: l.chordUnlock, options: tasks.Options{IgnoreResult: new(true), Retry: tasks.RetryPolicy{MaxRetries: new(-1), DefaultRetryDelay: time.Second}}},
		"celery.backend_cleanup": {run: func(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
			return protocol.Null(), nil
		}},
	}
	for name, h := range known {
		h.name = name
	}
	for name, h := range handlers {
		known[name] = h
	}
	return known
}

// arguments binds a builtin's arguments to its parameters; what is absent is null.
func arguments(args []protocol.Raw, kwargs protocol.Object, names ...string) ([]protocol.Raw, error) {
	if len(args) > len(names) {
		return nil, tasks.Raise("TypeError", fmt.Sprintf("takes %d positional arguments but %d were given", len(names), len(args)))
	}
	values := make([]protocol.Raw, len(names))
	copy(values, args)
	for i, name := range names {
		if value, ok := kwargs.Get(name); ok {
			values[i] = value
		}
		if len(values[i]) == 0 {
			values[i] = protocol.Null()
		}
	}
	return values, nil
}

// accumulate gives its arguments back, or the one with the number index: the body of a group that replaces a task.
func accumulate(_ context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	index, ok := kwargs.Get("index")
	if !ok || index.IsNull() {
		return protocol.Array(args), nil
	}
	var i int
	if err := json.Unmarshal(index, &i); err != nil || i >= len(args) || i < -len(args) {
		return nil, tasks.Raise("IndexError", "tuple index out of range")
	}
	if i < 0 {
		i += len(args)
	}
	return args[i], nil
}

// xmap runs a task for each item, one after the other, in this run.
func (l *life) xmap(unpack func(item protocol.Raw) ([]protocol.Raw, error)) tasks.Func {
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		values, err := arguments(args, kwargs, "task", "it")
		if err != nil {
			return nil, err
		}
		signature, err := protocol.DecodeSignature(values[0])
		if err != nil {
			return nil, err
		}
		h := l.known[signature.Task]
		if h == nil {
			return nil, tasks.Raise("celery.exceptions.NotRegistered", signature.Task)
		}
		items, err := values[1].Elements()
		if err != nil {
			return nil, err
		}
		results := make([]protocol.Raw, len(items))
		for i, item := range items {
			positional, err := unpack(item)
			if err != nil {
				return nil, err
			}
			if results[i], err = h.run(ctx, positional, nil); err != nil {
				return nil, err
			}
		}
		return protocol.Array(results), nil
	}
}

// chunks sends calls in parts of n.
func chunks(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	values, err := arguments(args, kwargs, "task", "it", "n")
	if err != nil {
		return nil, err
	}
	call := &canvas.Signature{Task: "celery.chunks", Kind: "chunks", Immutable: true, Kwargs: protocol.Object{
		{Name: "task", Value: values[0]}, {Name: "it", Value: values[1]}, {Name: "n", Value: values[2]},
	}}
	return sendAndPromise(ctx, func(c *canvas.Composer) (*canvas.Result, error) { return c.Apply(call) })
}

// sendAndPromise sends from a builtin and returns the promise as its result.
func sendAndPromise(ctx context.Context, send func(c *canvas.Composer) (*canvas.Result, error)) (protocol.Raw, error) {
	r, err := runningOf(ctx)
	if err != nil {
		return nil, err
	}
	var result *canvas.Result
	err = r.compose(func(c *canvas.Composer) (err error) {
		result, err = send(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result.Tuple(), nil
}

// group sends signatures as members of a group.
func group(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	values, err := arguments(args, kwargs, "tasks", "result", "group_id", "partial_args", "add_to_parent")
	if err != nil {
		return nil, err
	}
	r, err := runningOf(ctx)
	if err != nil {
		return nil, err
	}
	members, err := values[0].Elements()
	if err != nil {
		return nil, err
	}
	partial, _ := values[3].Elements()
	gid, _ := values[2].Text()
	return values[1], r.compose(func(c *canvas.Composer) error { return c.SendGroup(members, gid, partial) })
}

func chain(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
	return nil, tasks.Raise("NotImplementedError", "chain is not a real task")
}

// chord sends a chord.
func chord(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	values, err := arguments(args, kwargs, "header", "body", "partial_args", "interval", "countdown", "max_retries", "eager")
	if err != nil {
		return nil, err
	}
	partial, _ := values[2].Elements()
	return sendAndPromise(ctx, func(c *canvas.Composer) (*canvas.Result, error) { return c.SendChord(values[0], values[1], partial) })
}

// chordUnlock sends a chord's body when the results of its header are there: what producers address to workers for result backends that cannot count.
func (l *life) chordUnlock(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	values, err := arguments(args, kwargs, "group_id", "callback", "interval", "max_retries", "result")
	if err != nil {
		return nil, err
	}
	r, err := runningOf(ctx)
	if err != nil {
		return nil, err
	}
	tuples, err := values[4].Elements()
	if err != nil {
		return nil, err
	}
	joined := canvas.Joined{Polled: true}
	for _, tuple := range tuples {
		part, ready, err := l.readEnd(ctx, tuple)
		if err != nil {
			return nil, err
		}
		if !ready {
			return nil, unlockAgain(values[2], values[3])
		}
		joined.Parts = append(joined.Parts, part)
	}
	return protocol.Null(), r.compose(func(c *canvas.Composer) error { return c.Join(values[1], joined) })
}

// unlockAgain asks for the next look.
func unlockAgain(interval, most protocol.Raw) error {
	again := &tasks.Retrying{}
	var seconds float64
	if json.Unmarshal(interval, &seconds) == nil && !interval.IsNull() {
		again.Countdown = new(time.Duration(seconds * float64(time.Second)))
	}
	var limit int
	if json.Unmarshal(most, &limit) == nil && !most.IsNull() {
		again.MaxRetries = &limit
	}
	return again
}

// readEnd reads the stored result that a tuple [[id, parent], null] names, in the form of a chord's part.
func (l *life) readEnd(ctx context.Context, tuple protocol.Raw) (part protocol.Raw, ready bool, err error) {
	id := strings.Trim(string(tuple), "[ ")
	fields, err := tuple.Elements()
	if err == nil && len(fields) > 0 {
		var names []protocol.Raw
		if names, err = fields[0].Elements(); err == nil && len(names) > 0 {
			id, _ = names[0].Text()
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("result of a chord's member: %w", err)
	}
	data, err := l.broker.ReadResult(ctx, l.config.ResultKeyPrefix+protocol.ResultKey(id))
	if err != nil || data == nil {
		return nil, false, err
	}
	document, err := protocol.DecodeResult(data)
	if err != nil || !protocol.Ready(document.Status) {
		return nil, false, err
	}
	return canvas.Part{ID: id, State: document.Status, Result: document.Result}.Value(), true, nil
}
