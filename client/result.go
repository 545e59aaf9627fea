package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// Promise is what a canvas will give: an *AsyncResult or a *GroupResult.
type Promise interface {
	// Get waits for the result and stores it in the value that target points to; of a group, the list of its members'.
	Get(ctx context.Context, target any) error
	// Ready tells whether it is there, or will never be.
	Ready(ctx context.Context) (bool, error)
	// Revoke tells the workers not to run what has not begun.
	Revoke(ctx context.Context, options RevokeOptions) error
	// Forget deletes what is stored.
	Forget(ctx context.Context) error
	// Tuple writes the promise as Celery's as_tuple does.
	Tuple() protocol.Raw

	ids() []string
}

// AsyncResult is where a task's result will be.
type AsyncResult struct {
	// ID is the task's id.
	ID string
	// Parent is what comes before the task in the canvas that it was sent with, nil for none.
	Parent Promise
	client *Client
}

// TaskError is what Get returns for a task that failed or was revoked.
type TaskError struct {
	ID, State string
	Exception protocol.Exception
	Traceback string
}

// Error names the exception as Python's repr does.
func (e *TaskError) Error() string {
	args := make([]string, len(e.Exception.Args))
	for i, arg := range e.Exception.Args {
		args[i] = protocol.Repr(arg, 1000)
	}
	return fmt.Sprintf("task %s: %s: %s(%s)", e.ID, e.State, e.Exception.Type, strings.Join(args, ", "))
}

// Result finds the result of a task by its id, whether that was sent by this client or not.
func (c *Client) Result(id string) *AsyncResult { return &AsyncResult{ID: id, client: c} }

func (r *AsyncResult) key() string {
	return r.client.config.ResultKeyPrefix + protocol.ResultKey(r.ID)
}

// Meta reads the result document as it is now; State PENDING when there is none: not sent, not started, or expired.
func (r *AsyncResult) Meta(ctx context.Context) (*protocol.Result, error) {
	data, err := r.client.results.Get(ctx, r.key())
	if err != nil {
		return nil, fmt.Errorf("read result of %s: %w", r.ID, err)
	}
	if data == nil {
		return &protocol.Result{Status: protocol.Pending, TaskID: r.ID}, nil
	}
	return protocol.DecodeResult(data)
}

// Get waits until the task has ended or ctx does, and stores its result in the value that target points to (nil: it is not wanted). A task that failed or
// was revoked is a *TaskError; so is, as in Celery, one before it in its canvas. It waits for ever on a task whose result is never stored: give ctx a deadline.
func (r *AsyncResult) Get(ctx context.Context, target any) error {
	if err := r.parentError(ctx); err != nil {
		return err
	}
	meta, err := r.wait(ctx)
	if err != nil {
		return fmt.Errorf("wait for task %s: %w", r.ID, err)
	}
	if meta.Status != protocol.Success {
		if err := r.parentError(ctx); err != nil {
			return err
		}
		return taskError(r.ID, meta)
	}
	switch target := target.(type) {
	case nil:
		return nil
	case *protocol.Raw:
		*target = meta.Result
		return nil
	default:
		if err := json.Unmarshal(meta.Result, target); err != nil {
			return fmt.Errorf("result of task %s: %w", r.ID, err)
		}
		return nil
	}
}

func taskError(id string, meta *protocol.Result) error {
	exception, err := protocol.DecodeException(meta.Result)
	if err != nil {
		exception = protocol.Exception{Type: meta.Status, Args: []protocol.Raw{meta.Result}}
	}
	return &TaskError{ID: id, State: meta.Status, Exception: exception, Traceback: meta.Traceback}
}

// mostParents bounds how many results before a task are looked at for a failure.
const mostParents = 1000

// parentError is the failure of what comes before the task, the first first, as AsyncResult.get raises it (follow_parents).
func (r *AsyncResult) parentError(ctx context.Context) error {
	if r.Parent == nil {
		return nil
	}
	var ids []string
	for p := r.Parent; p != nil; {
		before := p.ids()
		if len(ids)+len(before) > mostParents {
			break
		}
		ids = append(before, ids...)
		switch result := p.(type) {
		case *AsyncResult:
			p = result.Parent
		case *GroupResult:
			p = result.Parent
		}
	}
	for _, id := range ids {
		meta, err := r.client.Result(id).Meta(ctx)
		if err != nil {
			return err
		}
		if meta.Status == protocol.Failure || meta.Status == protocol.Revoked {
			return taskError(id, meta)
		}
	}
	return nil
}

// wait waits for a final state. When the connection breaks it makes a new one and looks again.
func (r *AsyncResult) wait(ctx context.Context) (*protocol.Result, error) {
	for {
		meta, err := r.listen(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return meta, err
		}
		pause := time.NewTimer(200 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}

// listen subscribes first and looks then, so that a result that comes in between is not missed.
func (r *AsyncResult) listen(ctx context.Context) (*protocol.Result, error) {
	w, err := r.client.heard.add(ctx, r.key())
	if err != nil {
		return nil, err
	}
	defer r.client.heard.remove(w)
	meta, err := r.Meta(ctx)
	for err == nil && !protocol.Ready(meta.Status) {
		select {
		case data := <-w.news:
			if data == nil {
				return nil, errInterrupted
			}
			meta, err = protocol.DecodeResult(data)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return meta, err
}

// State is the task's state now (protocol.Success and so on); PENDING when nothing is stored.
func (r *AsyncResult) State(ctx context.Context) (string, error) {
	meta, err := r.Meta(ctx)
	if err != nil {
		return "", err
	}
	return meta.Status, nil
}

// Ready tells whether the task has ended.
func (r *AsyncResult) Ready(ctx context.Context) (bool, error) {
	state, err := r.State(ctx)
	return protocol.Ready(state), err
}

// Children are what the task has sent, as it stored it: nil until it has ended.
func (r *AsyncResult) Children(ctx context.Context) ([]Promise, error) {
	meta, err := r.Meta(ctx)
	if err != nil || meta.Children.IsNull() {
		return nil, err
	}
	elements, err := meta.Children.Elements()
	if err != nil {
		return nil, fmt.Errorf("children of %s: %w", r.ID, err)
	}
	children := make([]Promise, len(elements))
	for i, element := range elements {
		if children[i], err = r.client.fromTuple(element, 100); err != nil {
			return nil, fmt.Errorf("children of %s: %w", r.ID, err)
		}
	}
	return children, nil
}

// Forget deletes the results of the task and of those before it.
func (r *AsyncResult) Forget(ctx context.Context) error {
	if r.Parent != nil {
		if err := r.Parent.Forget(ctx); err != nil {
			return err
		}
	}
	return r.client.results.Delete(ctx, r.key())
}

// Revoke tells all workers not to run the task.
func (r *AsyncResult) Revoke(ctx context.Context, options RevokeOptions) error {
	return r.client.Revoke(ctx, options, r.ID)
}

func (r *AsyncResult) ids() []string { return []string{r.ID} }
