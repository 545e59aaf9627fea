package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/protocol"
)

// Signature is a task, or a canvas of tasks, to be sent later: Celery's signature, chain, group and chord. Methods that change it return a changed copy. A value
// that cannot be written (a channel as argument) is told when it is sent.
type Signature struct {
	node *canvas.Signature
	err  error
}

// S is the signature of a task (task.s): a result that it follows on is put in front of its arguments.
func S(task Task) Signature {
	node, err := task.signature()
	return Signature{node, err}
}

// SI is the immutable signature of a task (task.si): it does not get the result that it follows on.
func SI(task Task) Signature {
	s := S(task)
	if s.err == nil {
		s.node.Immutable = true
	}
	return s
}

// Chain runs signatures one after the other, each with the result of the one before (chain, |). A group with something behind it becomes a chord.
func Chain(steps ...Signature) Signature {
	nodes, err := nodes(steps)
	if err != nil {
		return Signature{err: fmt.Errorf("chain: %w", err)}
	}
	return Signature{node: canvas.NewChain(nodes)}
}

// Group runs signatures side by side (group).
func Group(members ...Signature) Signature {
	nodes, err := nodes(members)
	if err != nil {
		return Signature{err: fmt.Errorf("group: %w", err)}
	}
	return Signature{node: canvas.NewGroup(nodes)}
}

// Chord runs body with the list of the results of the header when all of them are there (chord).
func Chord(header []Signature, body Signature) Signature {
	members, err := nodes(header)
	if err != nil {
		return Signature{err: fmt.Errorf("chord: header: %w", err)}
	}
	bodies, err := nodes([]Signature{body})
	if err != nil {
		return Signature{err: fmt.Errorf("chord: body: %w", err)}
	}
	return Signature{node: canvas.NewChord(members, bodies[0])}
}

// Chunks runs a task for each of the argument lists, n of them in one message (task.chunks(it, n).group()).
func Chunks(task Task, calls [][]any, n int) Signature {
	return spread(task, "celery.chunks", "chunks", calls, n)
}

// Map runs a task for each item, one after the other in one message (task.map).
func Map(task Task, items []any) Signature { return spread(task, "celery.map", "xmap", items, 0) }

// Starmap is Map for argument lists (task.starmap).
func Starmap(task Task, calls [][]any) Signature {
	return spread(task, "celery.starmap", "xstarmap", calls, 0)
}

func spread(task Task, name, kind string, items any, n int) Signature {
	inner, err := task.signature()
	if err != nil {
		return Signature{err: err}
	}
	raw, err := protocol.Marshal(items)
	if err != nil {
		return Signature{err: fmt.Errorf("%s of %s: %w", name, task.Name, err)}
	}
	node := canvas.NewSpread(name, kind, inner, raw, n)
	if kind == "chunks" {
		if node, err = canvas.Chunks(node); err != nil {
			return Signature{err: err}
		}
	}
	return Signature{node: node}
}

func nodes(signatures []Signature) ([]*canvas.Signature, error) {
	nodes := make([]*canvas.Signature, len(signatures))
	for i, s := range signatures {
		if s.err != nil {
			return nil, fmt.Errorf("%d: %w", i, s.err)
		}
		if s.node == nil {
			return nil, fmt.Errorf("%d: %w", i, errNoSignature)
		}
		nodes[i] = s.node.Clone()
	}
	return nodes, nil
}

var errNoSignature = errors.New("an empty signature")

func (s Signature) change(f func(node *canvas.Signature) error) Signature {
	if s.err != nil || s.node == nil {
		return s
	}
	node := s.node.Clone()
	if err := f(node); err != nil {
		return Signature{err: err}
	}
	return Signature{node: node}
}

// Link adds callbacks that run with the result (link): of a group's first member, of a chord's body.
func (s Signature) Link(callbacks ...Signature) Signature {
	return s.change(func(node *canvas.Signature) error {
		nodes, err := nodes(callbacks)
		for _, callback := range nodes {
			err = errors.Join(err, node.Link(callback))
		}
		return err
	})
}

// LinkError adds callbacks that run when the signature fails (link_error): of each of a group's members, of a chord's body.
func (s Signature) LinkError(errbacks ...Signature) Signature {
	return s.change(func(node *canvas.Signature) error {
		nodes, err := nodes(errbacks)
		for _, errback := range nodes {
			node.LinkError(errback)
		}
		return err
	})
}

// Stamp adds stamped headers to all tasks and their callbacks (stamp), by which they can be revoked; not to the body of a chord, as in Celery.
func (s Signature) Stamp(stamps map[string]any) Signature {
	return s.change(func(node *canvas.Signature) error {
		var object protocol.Object
		for _, name := range slices.Sorted(maps.Keys(stamps)) {
			raw, err := protocol.Marshal(stamps[name])
			if err != nil {
				return fmt.Errorf("stamp %s: %w", name, err)
			}
			object = append(object, protocol.Member{Name: name, Value: raw})
		}
		return node.Stamp(object)
	})
}

// Raw writes the signature as it travels in messages: an argument for a task that takes signatures, or for tasks.Replace.
func (s Signature) Raw() (protocol.Raw, error) {
	if s.err == nil && s.node == nil {
		return nil, errNoSignature
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.node.Raw(), nil
}

// MarshalJSON writes the signature as Raw does, so that it can be an argument.
func (s Signature) MarshalJSON() ([]byte, error) { return s.Raw() }

// signature makes the signature of a task, with those of its options that are set.
func (task Task) signature() (*canvas.Signature, error) {
	if len(task.Name) == 0 || task.Name != trimmed(task.Name) {
		return nil, errNoName
	}
	args, err := arguments(task.Args)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", task.Name, err)
	}
	kwargs, err := object(task.Kwargs)
	if err != nil {
		return nil, fmt.Errorf("task %s: keyword arguments: %w", task.Name, err)
	}
	s := canvas.New(task.Name, args, kwargs)
	if err := task.options(s); err != nil {
		return nil, fmt.Errorf("task %s: %w", task.Name, err)
	}
	return s, nil
}

func arguments(values []any) ([]protocol.Raw, error) {
	var args []protocol.Raw
	for i, value := range values {
		raw, err := protocol.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		args = append(args, raw)
	}
	return args, nil
}

// options sets the options of apply_async under Celery's names.
func (task Task) options(s *canvas.Signature) error {
	var failure error
	set := func(name string, value any, given bool) {
		if !given {
			return
		}
		raw, err := protocol.Marshal(value)
		if err != nil {
			failure = errors.Join(failure, fmt.Errorf("%s: %w", name, err))
			return
		}
		s.Set(name, raw)
	}
	text := func(name, value string) { set(name, value, value != "") }
	seconds := func(name string, d time.Duration) { set(name, protocol.Raw(number(d)), d != 0) }
	when := func(name string, t time.Time) { set(name, protocol.FormatTime(t), !t.IsZero()) }
	text("task_id", task.ID)
	text("queue", task.Queue)
	text("exchange", task.Exchange)
	text("routing_key", task.RoutingKey)
	set("priority", min(9, max(0, task.Priority)), task.Priority != 0)
	seconds("countdown", task.Countdown)
	when("eta", task.ETA)
	seconds("expires", task.Expires)
	when("expires", task.ExpiresAt)
	text("serializer", task.Serializer)
	text("compression", task.Compression)
	set("headers", task.Headers, len(task.Headers) > 0)
	set("ignore_result", true, task.IgnoreResult)
	seconds("time_limit", task.TimeLimit)
	seconds("soft_time_limit", task.SoftTimeLimit)
	text("shadow", task.Shadow)
	text("root_id", task.RootID)
	text("parent_id", task.ParentID)
	text("group_id", task.GroupID)
	set("retries", task.Retries, task.Retries != 0)
	text("reply_to", task.ReplyTo)
	set("link", task.Link, len(task.Link) > 0)
	set("link_error", task.LinkError, len(task.LinkError) > 0)
	for name, value := range task.Properties {
		set(name, value, true)
	}
	return failure
}

// number writes seconds as Python does: a whole number without a fraction.
func number(d time.Duration) []byte {
	if d%time.Second == 0 {
		return fmt.Append(nil, int64(d/time.Second))
	}
	return protocol.AppendFloat(nil, d.Seconds())
}
