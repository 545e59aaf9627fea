package once

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"

	"github.com/lib/pq"

	"github.com/lovage-go/lovage/lockutil"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// Class says what becomes of a failed attempt.
type Class string

const (
	// ClassRetryable failures are tried again, by the task's policy.
	ClassRetryable Class = "retryable"
	// ClassPermanent failures would fail again: they are not tried again.
	ClassPermanent Class = "permanent"
	// ClassBusiness failures are answers: the work was done, and the answer is no. They are not tried again.
	ClassBusiness Class = "business"
)

// Failure is an error with a class and a stable code.
type Failure struct {
	Class Class
	Code  string
	Err   error
	// Stack is where it was made, for the ledger.
	Stack string
}

// Error names the code and the cause.
func (f *Failure) Error() string { return f.Code + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Retryable marks an error that may be gone at the next attempt.
func Retryable(code string, err error) error { return fail(ClassRetryable, code, err) }

// Permanent marks an error that would come again.
func Permanent(code string, err error) error { return fail(ClassPermanent, code, err) }

// Business is a refusal by the rules of the trade. Python sees lovage.errors.BusinessError(code, message).
func Business(code, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return fail(ClassBusiness, code, &tasks.Error{Type: "BusinessError", Module: "lovage.errors", Args: []any{code, message}})
}

func fail(class Class, code string, err error) error {
	if err == nil {
		err = errors.New(code)
	}
	return &Failure{Class: class, Code: code, Err: err, Stack: callers()}
}

// callers summarizes the stack above the constructors: the innermost frames, a line each.
func callers() string {
	var pcs [8]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	var text strings.Builder
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			fmt.Fprintf(&text, "%s (%s:%d)\n", frame.Function, frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line)
		}
		if !more {
			return text.String()
		}
	}
}

// ErrDifferentInput says that the key has been used before, with another input.
var ErrDifferentInput = errors.New("the idempotency key was used with another input")

// Classify tells class and code of any error: marked ones as marked; conflicts, connections and locks are retryable; the rest is permanent.
func Classify(err error) (Class, string) {
	var failure *Failure
	var dimension *tasks.DimensionError
	var database *pq.Error
	var network net.Error
	switch {
	case errors.As(err, &failure):
		return failure.Class, failure.Code
	case errors.As(err, &dimension):
		return ClassPermanent, dimension.Code
	case errors.Is(err, ErrDifferentInput):
		return ClassPermanent, "idempotency_key_reused"
	case errors.Is(err, store.ErrSuperseded):
		return ClassPermanent, "prediction_run_superseded"
	case errors.Is(err, store.ErrNoRun):
		return ClassPermanent, "prediction_run_unknown"
	case errors.Is(err, lockutil.ErrHeld):
		return ClassRetryable, "lock_held"
	case errors.Is(err, lockutil.ErrLost):
		return ClassRetryable, "lock_lost"
	case errors.Is(err, lockutil.ErrFenced):
		return ClassRetryable, "fenced"
	case errors.Is(err, lockutil.ErrUnavailable):
		return ClassRetryable, "lock_unavailable"
	case errors.As(err, &database):
		return classOfState(database), "sql_" + string(database.Code)
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "bad connection"):
		return ClassRetryable, "connection"
	}
	return ClassPermanent, "error"
}

// classOfState: connections (08), conflicts (40), resources (53), operators (57) and locks (55) pass; the rest is in the statement or the data.
func classOfState(err *pq.Error) Class {
	switch err.Code.Class() {
	case "08", "40", "53", "55", "57", "58", "25":
		return ClassRetryable
	}
	return ClassPermanent
}
