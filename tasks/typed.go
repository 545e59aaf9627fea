package tasks

import (
	"context"
	"fmt"
	"reflect"

	"github.com/lovage-go/lovage/protocol"
)

// Func is what a worker runs: a call's arguments in, the result out, as JSON text.
type Func func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error)

// Typed makes a Func of a typed handler. The struct In is the parameter list:
//
//	type Score struct {
//		Region string                                   // region: positional by field order, keyword by snake_case or the Go name
//		Days   int            `json:"n_days"`           // keyword n_days
//		Scale  float64        `default:"1.5"`           // a default makes it optional
//		Limit  *int                                     // so does a pointer: nil when absent
//		Rest   []int          `lovage:"args"`           // *args
//		Exact  bool           `lovage:"kwonly" default:"false"` // behind *
//		More   map[string]any `lovage:"kwargs"`         // **kwargs
//	}
//
// Fields of embedded structs are parameters in their place; json:",omitempty" makes a parameter optional, json:"-" hides a field. In may be a pointer to
// such a struct. An In that is no struct, or a struct that is one value (time.Time, or what reads itself), is one positional parameter, "value"; an empty
// struct takes no arguments.
//
// Values bind to Go's numbers, strings, bools, []byte (kombu's bytes, or a string's UTF-8), time.Time (a datetime, or text that datetime.fromisoformat
// takes; a naive one as UTC), time.Duration (seconds), *big.Int, decimal.Decimal, uuid.UUID, slices, arrays, maps, structs, pointers, any, protocol.Raw
// (the text as it came), and to what implements json.Unmarshaler or encoding.TextUnmarshaler. Numbers are not cut: 2.0 binds to an int, 2.5 and True do
// not, 300 not to an int8. None binds to pointers, slices, maps and any, as nil.
//
// A call that does not fit the parameters fails with TypeError in Python's words, a value of the wrong type with TypeError, one out of range or not
// readable with ValueError; the handler does not run. The function's name in them is the last part of the task's name. Typed fails for an In that
// cannot be bound.
func Typed[In, Out any](name string, fn func(context.Context, In) (Out, error)) (Func, error) {
	b, err := newBinder(name, reflect.TypeFor[In]())
	if err != nil {
		return nil, fmt.Errorf("parameters of task %s: %w", name, err)
	}
	marshaler := protocol.Marshaler{}.Cached()
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		var in In
		if err := b.bind(reflect.ValueOf(&in).Elem(), args, kwargs); err != nil {
			return nil, err
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		raw, err := marshaler.Marshal(out)
		if err != nil {
			return nil, EncodeError(err)
		}
		return raw, nil
	}, nil
}

// EncodeError is the failure of a task whose result has no JSON form: kombu's EncodeError.
func EncodeError(err error) error {
	return &Error{Type: "EncodeError", Module: "kombu.exceptions", Args: []any{err.Error()}, Err: err}
}
