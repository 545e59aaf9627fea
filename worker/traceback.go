package worker

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/lovage-go/lovage/tasks"
)

// traceback writes an error as the text that AsyncResult.traceback shows: for a panic the Go stack from the user's code on, for other errors the
// chain of causes. Its last line is the exception, as in Python.
func traceback(err error) string {
	var out strings.Builder
	out.WriteString("Traceback (Go, most recent call first):\n")
	var panicked *tasks.Panic
	if errors.As(err, &panicked) {
		out.Write(userStack(panicked.Stack))
	} else {
		for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
			fmt.Fprintf(&out, "  caused by %T: %s\n", cause, cause)
		}
	}
	var raised *tasks.Error
	if errors.As(err, &raised) {
		out.WriteString(err.Error() + "\n")
	} else {
		fmt.Fprintf(&out, "%s: %s\n", tasks.ExceptionOf(err).Type, err)
	}
	return out.String()
}

// userStack leaves out the frames between the panic and the handler: the runtime's and this package's.
func userStack(stack []byte) []byte {
	if i := bytes.LastIndex(stack, []byte("panic(")); i >= 0 {
		if lines := bytes.SplitN(stack[i:], []byte("\n"), 3); len(lines) == 3 {
			return lines[2]
		}
	}
	return stack
}
