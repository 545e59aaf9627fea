package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/protocol"
)

// GroupResult is where the results of a group's members will be.
type GroupResult struct {
	// ID is the group's id.
	ID string
	// Parent is what comes before the group, nil for none.
	Parent Promise
	// Results are the members', in order.
	Results []Promise
	client  *Client
}

// promise makes a Promise of what a canvas promises.
func (c *Client) promise(r *canvas.Result) Promise {
	switch {
	case r == nil:
		return nil
	case !r.Group:
		return &AsyncResult{ID: r.ID, Parent: c.promise(r.Parent), client: c}
	}
	g := &GroupResult{ID: r.ID, Parent: c.promise(r.Parent), client: c}
	for _, member := range r.Members {
		g.Results = append(g.Results, c.promise(member))
	}
	return g
}

var errTuple = errors.New("not a result tuple")

// fromTuple reads a promise as Celery writes it: [[id, parent], members].
func (c *Client) fromTuple(raw protocol.Raw, depth int) (Promise, error) {
	if raw.IsNull() {
		return nil, nil
	}
	parts, err := raw.Elements()
	if err != nil || len(parts) == 0 || depth == 0 {
		return nil, errTuple
	}
	names, err := parts[0].Elements()
	if err != nil || len(names) == 0 {
		return nil, errTuple
	}
	id, _ := names[0].Text()
	var parent Promise
	if len(names) > 1 {
		if parent, err = c.fromTuple(names[1], depth-1); err != nil {
			return nil, err
		}
	}
	if len(parts) < 2 || parts[1].IsNull() {
		return &AsyncResult{ID: id, Parent: parent, client: c}, nil
	}
	members, err := parts[1].Elements()
	if err != nil {
		return nil, errTuple
	}
	g := &GroupResult{ID: id, Parent: parent, client: c}
	for _, member := range members {
		result, err := c.fromTuple(member, depth-1)
		if err != nil {
			return nil, err
		}
		g.Results = append(g.Results, result)
	}
	return g, nil
}

// Get waits for all members and stores the list of their results (join). The first member, in order, that has failed is the error.
func (g *GroupResult) Get(ctx context.Context, target any) error {
	values := make([]protocol.Raw, len(g.Results))
	for i, member := range g.Results {
		if err := member.Get(ctx, &values[i]); err != nil {
			return err
		}
	}
	list := protocol.Array(values)
	switch target := target.(type) {
	case nil:
		return nil
	case *protocol.Raw:
		*target = list
		return nil
	default:
		if err := json.Unmarshal(list, target); err != nil {
			return fmt.Errorf("results of group %s: %w", g.ID, err)
		}
		return nil
	}
}

// Ready tells whether all members have ended.
func (g *GroupResult) Ready(ctx context.Context) (bool, error) {
	for _, member := range g.Results {
		if ready, err := member.Ready(ctx); err != nil || !ready {
			return false, err
		}
	}
	return true, nil
}

// CompletedCount tells how many members have succeeded.
func (g *GroupResult) CompletedCount(ctx context.Context) (int, error) {
	n := 0
	for _, id := range g.ids() {
		state, err := g.client.Result(id).State(ctx)
		if err != nil {
			return n, err
		}
		if state == protocol.Success {
			n++
		}
	}
	return n, nil
}

// Save stores the group's members under its id (GroupResult.save), so that Restore, and GroupResult.restore in Python, find them.
func (g *GroupResult) Save(ctx context.Context) error {
	document := protocol.Object{{Name: "result", Value: g.Tuple()}}
	return g.client.results.Set(ctx, g.client.chordKeys(g.ID).Base, document.Raw(), g.client.config.ResultExpires)
}

// tuple writes a promise as Celery does.
func tuple(p Promise) protocol.Raw {
	id, parent, members := "", Promise(nil), protocol.Null()
	switch p := p.(type) {
	case *AsyncResult:
		id, parent = p.ID, p.Parent
	case *GroupResult:
		id, parent = p.ID, p.Parent
		list := make([]protocol.Raw, len(p.Results))
		for i, member := range p.Results {
			list[i] = tuple(member)
		}
		members = protocol.Array(list)
	default:
		return protocol.Null()
	}
	return protocol.Array([]protocol.Raw{protocol.Array([]protocol.Raw{protocol.Quote(id), tuple(parent)}), members})
}

// Tuple writes the promise as Celery's as_tuple does, for result_from_tuple in Python.
func (g *GroupResult) Tuple() protocol.Raw { return tuple(g) }

// Tuple writes the promise as Celery's as_tuple does, for result_from_tuple in Python.
func (r *AsyncResult) Tuple() protocol.Raw { return tuple(r) }

// ErrUnknownGroup says that no group is saved under an id.
var ErrUnknownGroup = errors.New("no group is saved under this id")

// Restore finds a group that was saved.
func (c *Client) Restore(ctx context.Context, id string) (*GroupResult, error) {
	data, err := c.results.Get(ctx, c.chordKeys(id).Base)
	if err != nil {
		return nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	if data == nil {
		return nil, fmt.Errorf("restore group %s: %w", id, ErrUnknownGroup)
	}
	document, err := protocol.Raw(data).Members()
	if err != nil {
		return nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	result, _ := document.Get("result")
	promise, err := c.fromTuple(result, 100)
	if err != nil {
		return nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	group, ok := promise.(*GroupResult)
	if !ok {
		return nil, fmt.Errorf("restore group %s: %w", id, errTuple)
	}
	return group, nil
}

// Forget deletes the members' results and the saved group.
func (g *GroupResult) Forget(ctx context.Context) error {
	for _, member := range g.Results {
		if err := member.Forget(ctx); err != nil {
			return err
		}
	}
	return g.client.results.Delete(ctx, g.client.chordKeys(g.ID).Base)
}

// Revoke tells all workers not to run the members.
func (g *GroupResult) Revoke(ctx context.Context, options RevokeOptions) error {
	return g.client.Revoke(ctx, options, g.ids()...)
}

func (g *GroupResult) ids() []string {
	var ids []string
	for _, member := range g.Results {
		ids = append(ids, member.ids()...)
	}
	return ids
}

// RevokeOptions are those of app.control.revoke.
type RevokeOptions struct {
	// Terminate ends the tasks also when they run: a Python worker kills their process with Signal (default SIGTERM), a Lovage worker cancels their contexts.
	Terminate bool
	Signal    string
}

// Revoke tells all workers that listen now not to run tasks (app.control.revoke).
func (c *Client) Revoke(ctx context.Context, options RevokeOptions, ids ...string) error {
	list, err := protocol.Marshal(ids)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	terminate, err := protocol.Marshal(options.Terminate)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	request := protocol.ControlRequest{Method: "revoke", Arguments: protocol.Object{
		{Name: "task_id", Value: list}, {Name: "terminate", Value: terminate}, {Name: "signal", Value: protocol.Quote(firstOf(options.Signal, "SIGTERM"))},
	}}
	return c.broker.Broadcast(ctx, protocol.ControlExchange, request.Message(protocol.ControlExchange, uuid.NewString()).AppendJSON(nil))
}
