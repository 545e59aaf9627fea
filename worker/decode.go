package worker

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// decode reads the claimed bytes. On failure the task holds what could be found out, so that a result can say what happened.
func (l *life) decode(j *job) (*protocol.Task, error) {
	if j.claim.Large() {
		return tailOf(j.claim.Message), &protocol.DecodeError{
			Reason: "TooLarge",
			Err:    fmt.Errorf("%w: a message of %d bytes, the limit is %d", protocol.ErrTooLarge, j.claim.Size, l.config.MaxMessageBytes),
		}
	}
	task, err := protocol.ParseTask(j.claim.Message, l.config.limits())
	if err == nil && len(l.config.AcceptContent) > 0 && !slices.Contains(l.config.AcceptContent, task.ContentType) {
		err = &protocol.DecodeError{
			Reason: "ContentDisallowed",
			Err:    fmt.Errorf("%w: %q is not in accept_content %q", protocol.ErrContentType, task.ContentType, l.config.AcceptContent),
		}
	}
	return task, err
}

// correlationID finds the task's id near the end of an envelope: kombu writes the properties last.
var correlationID = regexp.MustCompile(`"correlation_id": ?"([^"\\]+)"`)

// tailOf makes what can be made of a message that is too large to be read whole.
func tailOf(tail []byte) *protocol.Task {
	task := &protocol.Task{}
	if match := correlationID.FindSubmatch(tail); match != nil {
		task.ID = string(match[1])
	}
	return task
}
