package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// AsyncResult is where a task's result will be.
type AsyncResult struct {
	// ID is the task's id.
	ID     string
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
// was revoked is a *TaskError. It waits for ever on a task whose result is never stored: give ctx a deadline.
func (r *AsyncResult) Get(ctx context.Context, target any) error {
	meta, err := r.wait(ctx)
	if err != nil {
		return fmt.Errorf("wait for task %s: %w", r.ID, err)
	}
	if meta.Status != protocol.Success {
		exception, err := protocol.DecodeException(meta.Result)
		if err != nil {
			exception = protocol.Exception{Type: meta.Status, Args: []protocol.Raw{meta.Result}}
		}
		return &TaskError{ID: r.ID, State: meta.Status, Exception: exception, Traceback: meta.Traceback}
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

// wait waits for a final state. When the connection breaks it makes a new one and looks again.
func (r *AsyncResult) wait(ctx context.Context) (*protocol.Result, error) {
	for {
		meta, err := r.listen(ctx)
		if err == nil || ctx.Err() != nil {
			return meta, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// listen subscribes first and looks then, so that a result that comes in between is not missed.
func (r *AsyncResult) listen(ctx context.Context) (*protocol.Result, error) {
	messages, err := r.client.results.Subscribe(ctx, r.key())
	if err != nil {
		return nil, err
	}
	defer messages.Close()
	for {
		meta, err := r.Meta(ctx)
		if err != nil || protocol.Ready(meta.Status) {
			return meta, err
		}
		if err := messages.Next(ctx); err != nil {
			return nil, err
		}
	}
}
