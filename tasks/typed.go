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
// An In that is no struct is one positional parameter, "value"; an empty struct takes no arguments. Values bind to Go's numbers (range-checked; 2.0
// binds to an int, 2.5 does not), strings, bools, []byte, time.Time, time.Duration (seconds), *big.Int, decimal.Decimal, uuid.UUID, slices, maps,
// structs, pointers (None is nil), any, protocol.Raw, and whatever implements json.Unmarshaler or encoding.TextUnmarshaler. A call that does not
// fit fails with TypeError in Python's words; the handler does not run. Typed fails for an In that cannot be bound.
func Typed[In, Out any](name string, fn func(context.Context, In) (Out, error)) (Func, error) {
	b, err := newBinder(name, reflect.TypeFor[In]())
	if err != nil {
		return nil, fmt.Errorf("parameters of task %s: %w", name, err)
	}
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		var in In
		if err := b.bind(reflect.ValueOf(&in).Elem(), args, kwargs); err != nil {
			return nil, err
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		raw, err := protocol.Marshal(out)
		if err != nil {
			return nil, &Error{Type: "EncodeError", Module: "kombu.exceptions", Args: []any{err.Error()}, Err: err}
		}
		return raw, nil
	}, nil
}
