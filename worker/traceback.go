package worker

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lovage-go/lovage/tasks"
)

// traceback writes an error as the text that AsyncResult.traceback shows, in the form of Python's tracebacks, which people and their tools read: for a
// panic the Go stack from the handler on, for other errors, which have no stack, the chain of causes. The last line is the exception.
func traceback(err error) string {
	var out strings.Builder
	var panicked *tasks.Panic
	if errors.As(err, &panicked) {
		out.WriteString("Traceback (most recent call last):\n")
		for _, f := range slices.Backward(userFrames(panicked.Stack)) {
			fmt.Fprintf(&out, "  File \"%s\", line %s, in %s\n", f.file, f.line, f.function)
		}
	} else {
		out.WriteString("Traceback (a Go error has no stack, only causes):\n")
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

type frame struct{ function, file, line string }

// userFrames reads the text of debug.Stack and leaves out what is not the handler's: the runtime's frames on top, and from call on, below.
func userFrames(stack []byte) []frame {
	lines := strings.Split(string(bytes.TrimSpace(stack)), "\n")
	var frames []frame
	begun := false
	for i := 1; i+1 < len(lines); i += 2 { // the first line is "goroutine 1 [running]:", then two for each frame
		function, _, _ := strings.Cut(lines[i], " in goroutine ")
		if end := strings.LastIndexByte(function, '('); end > 0 && strings.HasSuffix(function, ")") {
			function = function[:end]
		}
		switch {
		case function == "panic":
			begun = true
			continue
		case !begun || strings.HasPrefix(function, "runtime."):
			continue
		case function == callName:
			i = len(lines)
			continue
		}
		file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
		at := strings.LastIndexByte(file, ':')
		if at < 0 {
			continue
		}
		frames = append(frames, frame{function, file[:at], file[at+1:]})
	}
	return dropBinder(frames)
}

const (
	callName   = "github.com/lovage-go/lovage/worker.call"
	binderName = "github.com/lovage-go/lovage/tasks.Typed["
)

// dropBinder leaves out the frame between call and a typed handler, unless it is all there is.
func dropBinder(frames []frame) []frame {
	if n := len(frames); n > 1 && strings.HasPrefix(frames[n-1].function, binderName) {
		return frames[:n-1]
	}
	return frames
}
