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
	text := e.Type + ": " + strings.Join(parts, ", ")
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

// ExceptionOf writes any error as an exception. An *Error in its chain gives type, module and arguments. Otherwise the type is the stable name of the
// innermost named Go error type ("PathError" in module "io.fs"); errors that have no type of their own (errors.New, fmt.Errorf) are builtins.Exception,
// a missed deadline is builtins.TimeoutError, a panic is GoPanic in module lovage. The message is err.Error().
func ExceptionOf(err error) protocol.Exception {
	var raised *Error
	if errors.As(err, &raised) {
		return raised.exception()
	}
	message := []protocol.Raw{protocol.Quote(err.Error())}
	var panicked *Panic
	switch {
	case errors.As(err, &panicked):
		return protocol.Exception{Type: "GoPanic", Module: "lovage", Args: message}
	case errors.Is(err, context.DeadlineExceeded):
		return protocol.Exception{Type: "TimeoutError", Module: "builtins", Args: message}
	}
	name, module := typeName(err)
	return protocol.Exception{Type: name, Module: module, Args: message}
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

// typeName finds the first error in the chain whose type says something.
func typeName(err error) (name, module string) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		t := reflect.TypeOf(e)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.PkgPath() {
		case "", "errors", "fmt":
			continue
		}
		if t.Name() != "" && t.Name()[0] >= 'A' && t.Name()[0] <= 'Z' {
			return t.Name(), strings.ReplaceAll(t.PkgPath(), "/", ".")
		}
	}
	return "Exception", "builtins"
}
