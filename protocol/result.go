package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The states of a task (celery/states.py).
const (
	Pending  = "PENDING"
	Received = "RECEIVED"
	Started  = "STARTED"
	Success  = "SUCCESS"
	Failure  = "FAILURE"
	Revoked  = "REVOKED"
	Rejected = "REJECTED"
	Retry    = "RETRY"
	Ignored  = "IGNORED"
)

// Ready tells whether a state is final: a result in it has a date_done.
func Ready(status string) bool {
	return status == Success || status == Failure || status == Revoked
}

// Result is what a worker stores under celery-task-meta-<id> (celery/backends/base.py, _get_result_meta).
type Result struct {
	Status string
	// Result is the return value, or the exception's document for FAILURE, RETRY and REVOKED.
	Result Raw
	// Traceback is null when empty.
	Traceback string
	// Children are the follow-ups that the task has sent, as AsyncResult.as_tuple writes them; empty means [] (a result as a worker stores it).
	Children Raw
	// DateDone is null when zero; Celery writes it in final states only.
	DateDone time.Time
	// DateNaive leaves the offset off date_done, as Celery before 5.3 does; the time is UTC all the same.
	DateNaive bool
	TaskID    string
	// GroupID and ParentID are left out when empty.
	GroupID, ParentID string
	// Extended is written when result_extended is on.
	Extended *ExtendedResult
	// Extra are members that have no field here, e.g. stamps.
	Extra Object
}

// ExtendedResult is what result_extended adds.
type ExtendedResult struct {
	Name, Worker, Queue string
	Args, Kwargs        Raw
	Retries             int
}

// ResultKey is the key under which the Redis backend keeps the result of a task, without prefix.
func ResultKey(taskID string) string { return "celery-task-meta-" + taskID }

// GroupKey is the key of a group's saved result, without prefix; the keys of a chord are it with a suffix.
func GroupKey(groupID string) string { return "celery-taskset-meta-" + groupID }

// AppendJSON writes the document, members in Celery's order.
func (r *Result) AppendJSON(out []byte) []byte {
	out = append(out, `{"status": `...)
	out = appendQuoted(out, r.Status)
	out = append(out, `, "result": `...)
	out = appendRaw(out, r.Result)
	out = append(out, `, "traceback": `...)
	if r.Traceback == "" {
		out = append(out, "null"...)
	} else {
		out = appendQuoted(out, r.Traceback)
	}
	out = append(out, `, "children": `...)
	if len(r.Children) == 0 {
		out = append(out, "[]"...)
	} else {
		out = append(out, r.Children...)
	}
	out = append(out, `, "date_done": `...)
	if r.DateDone.IsZero() {
		out = append(out, "null"...)
	} else if r.DateNaive {
		out = append(appendISODateTime(append(out, '"'), r.DateDone.UTC(), true), '"')
	} else {
		out = append(append(append(out, '"'), appendTime(nil, r.DateDone)...), '"')
	}
	if r.GroupID != "" {
		out = append(out, `, "group_id": `...)
		out = appendQuoted(out, r.GroupID)
	}
	if r.ParentID != "" {
		out = append(out, `, "parent_id": `...)
		out = appendQuoted(out, r.ParentID)
	}
	if e := r.Extended; e != nil {
		out = e.append(out)
	}
	for _, member := range r.Extra {
		out = append(out, ", "...)
		out = append(appendQuoted(out, member.Name), ": "...)
		out = appendRaw(out, member.Value)
	}
	out = append(out, `, "task_id": `...)
	out = appendQuoted(out, r.TaskID)
	return append(out, '}')
}

// append writes the members. Celery stores null in all of them for a task whose request it could not make: one without a name.
func (e *ExtendedResult) append(out []byte) []byte {
	retries := Raw("null")
	if e.Name != "" {
		retries = strconv.AppendInt(nil, int64(e.Retries), 10)
	}
	for _, member := range (Object{
		{"name", textOrNull(e.Name)}, {"args", e.Args}, {"kwargs", e.Kwargs}, {"worker", textOrNull(e.Worker)}, {"retries", retries}, {"queue", textOrNull(e.Queue)},
	}) {
		out = append(append(append(out, `, "`...), member.Name...), `": `...)
		out = appendRaw(out, member.Value)
	}
	return out
}

// DecodeResult reads a result document.
func DecodeResult(data []byte) (*Result, error) {
	if err := Raw(data).Valid(Limits{}); err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	members, err := Raw(data).Members()
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	r := &Result{}
	var extended ExtendedResult
	for _, member := range members {
		text := looseText(member.Value)
		switch member.Name {
		case "status":
			r.Status, _ = member.Value.Text()
		case "result":
			r.Result = member.Value
		case "traceback":
			r.Traceback = text
		case "children":
			r.Children = member.Value
		case "date_done":
			if text != "" {
				t, err := headerTime("date_done", member.Value)
				if err != nil {
					return nil, fmt.Errorf("read result: %w", err)
				}
				r.DateDone, r.DateNaive = t.Time, t.Naive
			}
		case "task_id":
			r.TaskID = text
		case "group_id":
			r.GroupID = text
		case "parent_id":
			r.ParentID = text
		case "name", "args", "kwargs", "worker", "retries", "queue":
			extended.set(member.Name, member.Value)
			r.Extended = &extended
		default:
			r.Extra = append(r.Extra, member)
		}
	}
	if r.Status == "" {
		return nil, fmt.Errorf("read result: %w: no status", ErrSyntax)
	}
	return r, nil
}

func (e *ExtendedResult) set(name string, value Raw) {
	switch name {
	case "name":
		e.Name = looseText(value)
	case "args":
		e.Args = value
	case "kwargs":
		e.Kwargs = value
	case "worker":
		e.Worker = looseText(value)
	case "retries":
		e.Retries, _ = looseInt(value)
	case "queue":
		e.Queue = looseText(value)
	}
}

// Exception is how an exception travels in a result: Python makes it again from its type's name and module, and the arguments of its constructor.
type Exception struct {
	// Type is the class's qualified name, e.g. "ValueError".
	Type string
	// Args are the exception's arguments (exc_message).
	Args []Raw
	// Module is the class's module; "builtins" for Python's own. A class that Python cannot import is made up under this name.
	Module string
}

// Raw writes the document {exc_type, exc_message, exc_module}.
func (e Exception) Raw() Raw {
	out := append([]byte(`{"exc_type": `), Quote(e.Type)...)
	out = append(out, `, "exc_message": `...)
	out = appendArray(out, e.Args)
	out = append(out, `, "exc_module": `...)
	if e.Module == "" {
		out = append(out, "null"...)
	} else {
		out = appendQuoted(out, e.Module)
	}
	return append(out, '}')
}

// DecodeException reads an exception's document. exc_message may be one value instead of a list.
func DecodeException(raw Raw) (Exception, error) {
	members, err := raw.Members()
	if err != nil {
		return Exception{}, fmt.Errorf("read exception: %w", err)
	}
	e := Exception{Type: members.Text("exc_type"), Module: members.Text("exc_module")}
	if e.Type == "" {
		return e, fmt.Errorf("read exception: %w: no exc_type", ErrSyntax)
	}
	message, _ := members.Get("exc_message")
	if len(message) > 0 && message[0] == '[' {
		e.Args, err = message.Elements()
		return e, err
	}
	if len(message) > 0 {
		e.Args = []Raw{message}
	}
	return e, nil
}

// Repr writes the exception as Python's repr does: ValueError('no').
func (e Exception) Repr() string {
	args := make([]string, len(e.Args))
	for i, arg := range e.Args {
		args[i] = Repr(arg, 0)
	}
	return e.Type + "(" + strings.Join(args, ", ") + ")"
}
