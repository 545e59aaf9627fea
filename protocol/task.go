package protocol

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Task is a task message, version 1 or 2, as a worker reads it.
type Task struct {
	// Version is 2 for messages whose headers name the task (Celery 4 and later), 1 for older ones and gocelery's.
	Version int
	// ID is any string; Name is the task's registered name.
	ID, Name string
	// Shadow is the name to show instead of Name in logs and events; "" for none.
	Shadow string
	// RootID is the id of the first task of the workflow, ParentID of the one that sent this; GroupID of its group.
	RootID, ParentID, GroupID string
	// GroupIndex is the place in the group; it counts only when HasGroupIndex is set: an absent index is not 0.
	GroupIndex    int
	HasGroupIndex bool
	// Retries counts the earlier attempts.
	Retries int
	// ETA and Expires are zero when absent.
	ETA, Expires Time
	// HardTimeLimit and SoftTimeLimit come from the header timelimit, [hard, soft]; 0 when absent.
	HardTimeLimit, SoftTimeLimit time.Duration
	// IgnoreResult is the header's word, which beats the task's own option; nil when the header is silent.
	IgnoreResult *bool
	// UTC is version 1's utc: false says that its naive times are the sender's local ones. True in version 2.
	UTC bool
	// Args and Kwargs are the arguments, not yet decoded.
	Args   []Raw
	Kwargs Object
	// Callbacks, Errbacks and Chain are signatures; Chain is in reverse, its last element runs next. Chord is a signature or null.
	Callbacks, Errbacks, Chain []Raw
	Chord                      Raw

	// Priority, Redelivered, CorrelationID, ReplyTo, Exchange and RoutingKey come from the properties.
	Priority                                      int
	Redelivered                                   bool
	CorrelationID, ReplyTo, Exchange, RoutingKey  string
	ContentType, ContentEncoding, BodyCompression string
	// Deliveries counts how often the message was restored from a lost worker (Lovage's header lovage_deliveries).
	Deliveries int

	envelope     envelope
	bodyEncoding string
	argsRepr     Raw
	kwargsRepr   Raw
	objectBody   bool // version 1, or the mixture that Celery calls hybrid
}

// DeliveriesHeader counts how often a message was restored from a worker that was lost.
const DeliveriesHeader = "lovage_deliveries"

// Headers are all headers of the message, known and unknown, in order. They are decoded at each call.
func (t *Task) Headers() Object {
	headers, _ := optionalObject(t.envelope.headers)
	return headers
}

// Header is the value of one header; ok is false when it is absent.
func (t *Task) Header(name string) (value Raw, ok bool) { return t.Headers().Get(name) }

// Origin is gen<pid>@<host> of the sender, decoded at each call.
func (t *Task) Origin() string { return t.Headers().Text("origin") }

// ArgsRepr is Python's repr of the positional arguments as the sender wrote it, or ours when it wrote none. It is for people; Args are the arguments.
func (t *Task) ArgsRepr() string {
	if text, ok := t.argsRepr.Text(); ok {
		return text
	}
	return ReprArgs(t.Args, reprLimit)
}

// KwargsRepr is ArgsRepr for the keyword arguments.
func (t *Task) KwargsRepr() string {
	if text, ok := t.kwargsRepr.Text(); ok {
		return text
	}
	return ReprKwargs(t.Kwargs, reprLimit)
}

// ParseTask reads a task message. On failure the error is a *DecodeError, and the Task holds what could be read: its ID, Name and ReplyTo, when
// there are any, let the caller store a result that says so. The Task shares data's memory: data must not change afterwards.
func ParseTask(data []byte, lim Limits) (*Task, error) {
	lim = lim.withDefaults()
	t := &Task{Version: 1, UTC: true}
	if err := t.readEnvelope(data, lim); err != nil {
		return t, decodeError(err)
	}
	body, err := t.payload(lim)
	if err == nil {
		err = t.readBody(body, lim)
	}
	if err != nil {
		return t, decodeError(fmt.Errorf("read body: %w", err))
	}
	if t.RootID == "" {
		t.RootID = t.ID
	}
	return t, nil
}

// readEnvelope reads headers and properties in the pass over the envelope that also checks it. A bad header does not end it: what comes later may
// be the id under which the failure is to be stored.
func (t *Task) readEnvelope(data []byte, lim Limits) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("read envelope: %w JSON: not UTF-8", ErrSyntax)
	}
	members := memberScanner{data: data, depth: lim.MaxDepth}
	if err := members.open(skipSpace(data, 0)); err != nil {
		return fmt.Errorf("read envelope: %w", err)
	}
	var bad error
	for {
		key, start, err := members.next()
		if err != nil {
			return fmt.Errorf("read envelope: %w", err)
		}
		if start < 0 {
			break
		}
		end, failure := t.readPart(key, &members, start)
		if end < 0 {
			return fmt.Errorf("read envelope: %w", failure)
		}
		if failure != nil && bad == nil {
			bad = failure
		}
		members.at = end
	}
	if end := skipSpace(data, members.at); end != len(data) {
		return fmt.Errorf("read envelope: %w", syntaxError(end, "extra data"))
	}
	t.ContentType, t.ContentEncoding = wellKnown(t.envelope.contentType), wellKnown(t.envelope.contentEncoding)
	return bad
}

// readPart reads one member of the envelope and gives the index after it, or -1 when its text is malformed.
func (t *Task) readPart(key []byte, members *memberScanner, start int) (end int, err error) {
	data, depth := members.data, members.depth-1
	end = -1
	if start >= len(data) {
		return -1, syntaxError(start, "unexpected end")
	}
	switch string(key) {
	case `"headers"`:
		if data[start] == '{' && t.envelope.headers == nil {
			var bad error
			if end, bad, err = t.readHeaders(data, start, depth); err != nil {
				return -1, err
			}
			t.envelope.headers = data[start:end:end]
			return end, bad
		}
	case `"properties"`:
		if data[start] == '{' && t.envelope.properties == nil {
			if end, err = t.readProperties(data, start, depth); err != nil {
				return -1, err
			}
			t.envelope.properties = data[start:end:end]
			return end, nil
		}
	}
	if end, err = scanValue(data, start, depth); err != nil {
		return -1, err
	}
	if repeated := t.envelope.set(key, data[start:end:end]); repeated {
		return end, fmt.Errorf("%w envelope: %s repeated, or not an object", ErrSyntax, key)
	}
	return end, nil
}

// payload undoes base64, compression and serialization; the result is JSON text.
func (t *Task) payload(lim Limits) ([]byte, error) {
	inner, err := t.envelope.bodyText()
	if err != nil {
		return nil, err
	}
	body, err := payload(inner, t.bodyEncoding, t.BodyCompression, lim)
	if err != nil {
		return nil, err
	}
	return toJSON(t.ContentType, t.ContentEncoding, body, lim)
}
