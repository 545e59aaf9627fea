package tasks

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/lovage-go/lovage/protocol"
)

// Error is an exception that Python can name: AsyncResult.get() raises a class of this type, imported from the module where Python has it, made up where not.
type Error struct {
	// Type is the class's name, e.g. "ValueError"; Module its module, "builtins" for Python's own.
	Type, Module string
	// Args are the exception's arguments; the first one is usually the message.
	Args []any
	// Err is the cause, if any.
	Err error
}

// Raise makes an exception of one of Python's built-in classes, or with a dotted name ("myapp.errors.Broken") of any other.
func Raise(class string, args ...any) error {
	module := "builtins"
	if i := strings.LastIndexByte(class, '.'); i >= 0 {
		module, class = class[:i], class[i+1:]
	}
	return &Error{Type: class, Module: module, Args: args}
}

// Error writes the exception as Python's repr does for simple arguments.
func (e *Error) Error() string {
	parts := make([]string, len(e.Args))
	for i, arg := range e.Args {
		parts[i] = fmt.Sprint(arg)
	}
	text := e.Type
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Panic is the error of a handler that panicked.
type Panic struct {
	// Value is what was passed to panic, Stack the goroutine's stack at that place.
	Value any
	Stack []byte
}

// Error names the panic's value.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap gives the value of the panic when it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// ExceptionOf writes any error as an exception, so that AsyncResult.get() raises a class of a stable name. An *Error in its chain gives type, module
// and arguments. For others the message is err.Error() and the type
//   - GoPanic in module lovage for a panic,
//   - builtins.TimeoutError for context.DeadlineExceeded, concurrent.futures.CancelledError for context.Canceled,
//   - the name of the outermost exported Go error type, of joined errors the first that has one: "PathError" in module "io.fs",
//   - builtins.Exception for errors without a type of their own (errors.New, fmt.Errorf).
//
// It does not panic, even when a method of err does.
func ExceptionOf(err error) (x protocol.Exception) {
	defer func() {
		if value := recover(); value != nil { // a nil pointer as error is a common mistake
			message := fmt.Sprintf("panic: %v, while describing an error of type %T", value, err)
			x = protocol.Exception{Type: "GoPanic", Module: "lovage", Args: []protocol.Raw{protocol.Quote(message)}}
		}
	}()
	var raised *Error
	if errors.As(err, &raised) {
		return raised.exception()
	}
	name, module := className(err)
	return protocol.Exception{Type: name, Module: module, Args: []protocol.Raw{protocol.Quote(err.Error())}}
}

func className(err error) (name, module string) {
	var panicked *Panic
	switch {
	case errors.As(err, &panicked):
		return "GoPanic", "lovage"
	case errors.Is(err, context.DeadlineExceeded):
		return "TimeoutError", "builtins"
	case errors.Is(err, context.Canceled):
		return "CancelledError", "concurrent.futures"
	}
	if name, module = typeName(err); name == "" {
		return "Exception", "builtins"
	}
	return name, module
}

func (e *Error) exception() protocol.Exception {
	x := protocol.Exception{Type: e.Type, Module: e.Module, Args: make([]protocol.Raw, 0, len(e.Args))}
	for _, arg := range e.Args {
		raw, err := protocol.Marshal(arg)
		if err != nil { // what JSON cannot hold is told as text, as Celery does
			raw = protocol.Quote(fmt.Sprint(arg))
		}
		x.Args = append(x.Args, raw)
	}
	return x
}

// typeName finds the first error in the tree whose type says something; "" when there is none.
func typeName(err error) (name, module string) {
	t := indirect(reflect.TypeOf(err))
	name, _, _ = strings.Cut(t.Name(), "[") // without type arguments
	switch path := t.PkgPath(); {
	case path == "" || path == "errors" || path == "fmt":
	case name != "" && name[0] >= 'A' && name[0] <= 'Z':
		return name, strings.ReplaceAll(path, "/", ".")
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return typeName(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if name, module = typeName(inner); name != "" {
				return name, module
			}
		}
	}
	return "", ""
}
