package protocol

import (
	"errors"
	"fmt"
)

// The reasons for which a message cannot be decoded. Every error of a decoder wraps one of them.
var (
	// ErrSyntax: the bytes are not what their content type says.
	ErrSyntax = errors.New("malformed")
	// ErrTooLarge: the body, inflated, is above Limits.MaxBody.
	ErrTooLarge = errors.New("too large")
	// ErrTooDeep: values are nested deeper than Limits.MaxDepth.
	ErrTooDeep = errors.New("nested too deeply")
	// ErrContentType: no serializer is known for the content type, or no compression for its name.
	ErrContentType = errors.New("unknown content type")
	// ErrPickle: the body is a pickle. Lovage does not read pickles: it cannot, and they can run code.
	ErrPickle = errors.New("refusing to read a pickle: in Python set task_serializer = 'json' (and result_serializer = 'json'); a pickle can only be read by Python")
	// ErrHeader: a header has a type that Celery could not use.
	ErrHeader = errors.New("bad header")
	// ErrType: a value names a __type__ that kombu does not know, or has no content of that type.
	ErrType = errors.New("bad typed value")
)

// DecodeError says why a message cannot be decoded.
type DecodeError struct {
	// Reason is a stable code: "DecodeError" for broken content, "ContentDisallowed" for a content type that is refused, "TooLarge".
	Reason string
	Err    error
}

// Error implements error.
func (e *DecodeError) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap gives the cause, one of the sentinels among it.
func (e *DecodeError) Unwrap() error { return e.Err }

func decodeError(err error) *DecodeError {
	var already *DecodeError
	if errors.As(err, &already) {
		return already
	}
	reason := "DecodeError"
	switch {
	case errors.Is(err, ErrPickle), errors.Is(err, ErrContentType):
		reason = "ContentDisallowed"
	case errors.Is(err, ErrTooLarge):
		reason = "TooLarge"
	}
	return &DecodeError{Reason: reason, Err: err}
}

func syntaxError(at int, what string) error {
	return fmt.Errorf("%w JSON: %s at byte %d", ErrSyntax, what, at)
}

// Limits bound what a decoder allocates. The zero value is the defaults.
type Limits struct {
	// MaxBody is the most bytes of a body after base64 and decompression. Default 64 MiB.
	MaxBody int64
	// MaxDepth is how deeply values may be nested. Default 512: Python's own json gives up near 1,000.
	MaxDepth int
}

func (l Limits) withDefaults() Limits {
	if l.MaxBody <= 0 {
		l.MaxBody = 64 << 20
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = 512
	}
	return l
}
