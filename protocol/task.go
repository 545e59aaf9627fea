package protocol

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Task is a task message, version 1 or 2, as a worker reads it.
type Task struct {
	// Version is 2 for messages whose headers name the task (Celery 4 and later), 1 for older ones and gocelery's.
	Version int
	// ID is any string; Name is the task's registered name.
	ID, Name string
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

	data        []byte
	rawHeaders  Raw
	rawEnvelope envelope
}

// DeliveriesHeader counts how often a message was restored from a worker that was lost.
const DeliveriesHeader = "lovage_deliveries"

// Headers are all headers of the message, known and unknown, in order. They are decoded at each call.
func (t *Task) Headers() Object {
	headers, _ := optionalObject(t.rawHeaders)
	return headers
}

// ParseTask reads a task message. On failure the error is a *DecodeError, and the Task holds what could be read: its ID, Name and ReplyTo, when
// there are any, let the caller store a result that says so.
func ParseTask(data []byte, lim Limits) (*Task, error) {
	lim = lim.withDefaults()
	t := &Task{data: data}
	spans, err := scanEnvelope(data, lim.MaxDepth)
	if err != nil {
		return t, decodeError(fmt.Errorf("read envelope: %w", err))
	}
	t.rawEnvelope, t.rawHeaders = spans, spans.headers
	encoding, err := t.readProperties(spans.properties)
	if err != nil {
		return t, decodeError(fmt.Errorf("read properties: %w", err))
	}
	if err := t.readHeaders(spans.headers); err != nil {
		return t, decodeError(fmt.Errorf("read headers: %w", err))
	}
	t.ContentType, _ = spans.contentType.Text()
	t.ContentEncoding, _ = spans.contentEncoding.Text()
	body, err := t.payload(encoding, lim)
	if err != nil {
		return t, decodeError(fmt.Errorf("read body: %w", err))
	}
	if t.Version == 2 {
		err = t.readBody(body, lim)
	} else {
		err = t.readV1(body, lim)
	}
	if err != nil {
		return t, decodeError(fmt.Errorf("read body: %w", err))
	}
	if t.RootID == "" {
		t.RootID = t.ID
	}
	return t, nil
}

// payload undoes base64, compression and serialization; the result is JSON text.
func (t *Task) payload(encoding string, lim Limits) ([]byte, error) {
	text := t.rawEnvelope.body
	inner := []byte(text[1 : len(text)-1])
	if hasEscape(inner) {
		inner = appendUnescaped(make([]byte, 0, len(inner)), inner)
	}
	body, err := payload(inner, encoding, t.BodyCompression, lim)
	if err != nil {
		return nil, err
	}
	return toJSON(t.ContentType, t.ContentEncoding, body, lim)
}

func hasEscape(text []byte) bool {
	for _, c := range text {
		if c == '\\' {
			return true
		}
	}
	return false
}

func (t *Task) readProperties(properties Raw) (encoding string, err error) {
	if properties.IsNull() {
		return "", nil
	}
	if properties[0] != '{' {
		return "", fmt.Errorf("%w: properties is not an object", ErrHeader)
	}
	_, err = walkObject(properties, 0, maxNesting, func(keyStart, keyEnd, start, end int) error {
		value := properties[start:end]
		switch string(properties[keyStart:keyEnd]) {
		case `"correlation_id"`:
			t.CorrelationID = looseText(value)
		case `"reply_to"`:
			t.ReplyTo = looseText(value)
		case `"priority"`:
			t.Priority = clampPriority(value)
		case `"body_encoding"`:
			if string(value) == `"base64"` {
				encoding = "base64"
			} else {
				encoding = looseText(value)
			}
		case `"delivery_info"`:
			return t.readDeliveryInfo(value)
		}
		return nil
	})
	return encoding, err
}

func (t *Task) readDeliveryInfo(info Raw) error {
	if len(info) == 0 || info[0] != '{' {
		return nil
	}
	_, err := walkObject(info, 0, maxNesting, func(keyStart, keyEnd, start, end int) error {
		switch string(info[keyStart:keyEnd]) {
		case `"exchange"`:
			t.Exchange = looseText(info[start:end])
		case `"routing_key"`:
			t.RoutingKey = looseText(info[start:end])
		case `"redelivered"`:
			t.Redelivered = string(info[start:end]) == "true"
		}
		return nil
	})
	return err
}

func (t *Task) readHeaders(headers Raw) error {
	t.Version = 1
	if headers.IsNull() {
		return nil
	}
	if headers[0] != '{' {
		return fmt.Errorf("%w: headers is not an object", ErrHeader)
	}
	var failure error
	_, err := walkObject(headers, 0, maxNesting, func(keyStart, keyEnd, start, end int) error {
		if err := t.readHeader(headers[keyStart+1:keyEnd-1], headers[start:end]); err != nil && failure == nil {
			failure = err // go on: an id that comes later is worth having
		}
		return nil
	})
	if err != nil {
		return err
	}
	return failure
}

func (t *Task) readHeader(name []byte, value Raw) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch string(name) {
	case "task":
		t.Version = 2
		t.Name, err = headerText("task", value)
	case "id":
		t.ID, err = headerText("id", value)
	case "root_id":
		if inner := value[1:max(1, len(value)-1)]; string(inner) == t.ID { // a root's is its own id
			t.RootID = t.ID
		} else {
			t.RootID = looseText(value)
		}
	case "parent_id":
		t.ParentID = looseText(value)
	case "group":
		t.GroupID = looseText(value)
	case "group_index":
		t.GroupIndex, t.HasGroupIndex = looseInt(value)
	case "retries":
		t.Retries, err = headerInt("retries", value)
	case "eta":
		t.ETA, err = headerTime("eta", value)
	case "expires":
		t.Expires, err = headerTime("expires", value)
	case "timelimit":
		err = t.readTimeLimit(value)
	case "ignore_result":
		ignore := string(value) == "true" || string(value) == "1"
		t.IgnoreResult = &ignore
	case "compression":
		t.BodyCompression, err = headerText("compression", value)
	case "redelivered":
		t.Redelivered = t.Redelivered || string(value) == "true"
	case DeliveriesHeader:
		t.Deliveries, _ = looseInt(value)
	}
	return err
}

func headerText(name string, value Raw) (string, error) {
	if value[0] == '{' || value[0] == '[' {
		return "", fmt.Errorf("%w: %s is not a string", ErrHeader, name)
	}
	return looseText(value), nil
}

func headerInt(name string, value Raw) (int, error) {
	if len(value) == 1 && isDigit(value[0]) {
		return int(value[0] - '0'), nil
	}
	n, ok := looseInt(value)
	if !ok {
		return 0, fmt.Errorf("%w: %s is not a number", ErrHeader, name)
	}
	return n, nil
}

// headerTime reads a time that is ISO text, kombu's typed datetime, or (by hand-made producers) seconds since 1970.
func headerTime(name string, value Raw) (Time, error) {
	text, ok := value.Text()
	if !ok && value[0] == '{' {
		members, err := value.Members()
		if err != nil {
			return Time{}, err
		}
		if text, ok = members.Text("__value__"), true; text == "" {
			return Time{}, fmt.Errorf("%w: %s is not a time", ErrHeader, name)
		}
	}
	if !ok {
		seconds, err := strconv.ParseFloat(string(value), 64)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1e12 {
			return Time{}, fmt.Errorf("%w: %s is not a time", ErrHeader, name)
		}
		return Time{Time: time.UnixMicro(int64(seconds * 1e6)).UTC()}, nil
	}
	if text == "" {
		return Time{}, nil
	}
	t, err := ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// readTimeLimit reads [hard, soft] in seconds; either may be null.
func (t *Task) readTimeLimit(value Raw) error {
	if string(value) == "[null, null]" {
		return nil
	}
	limits, err := value.Elements()
	if err != nil || len(limits) != 2 {
		return fmt.Errorf("%w: timelimit is not [hard, soft]", ErrHeader)
	}
	for i, field := range []*time.Duration{&t.HardTimeLimit, &t.SoftTimeLimit} {
		if limits[i].IsNull() {
			continue
		}
		seconds, err := strconv.ParseFloat(string(limits[i]), 64)
		if err != nil || math.IsNaN(seconds) || seconds < 0 {
			return fmt.Errorf("%w: timelimit %s is not a number of seconds", ErrHeader, limits[i])
		}
		*field = time.Duration(min(seconds, 1e9) * float64(time.Second))
	}
	return nil
}

// readBody reads version 2's body: [args, kwargs, embed].
func (t *Task) readBody(body []byte, lim Limits) error {
	i := skipSpace(body, 0)
	if i >= len(body) || body[i] != '[' {
		return fmt.Errorf("%w body: not a list of args, kwargs and embed", ErrSyntax)
	}
	part := 0
	end, err := walkArray(body, i, lim.MaxDepth, func(start, end int) error {
		value := Raw(body[start:end:end])
		part++
		switch part {
		case 1:
			return t.readArgs(value)
		case 2:
			return t.readKwargs(value)
		case 3:
			return t.readEmbed(value)
		}
		return fmt.Errorf("%w body: more than three parts", ErrSyntax)
	})
	if err != nil {
		return err
	}
	if skipSpace(body, end) != len(body) {
		return syntaxError(end, "extra data")
	}
	if part < 2 {
		return fmt.Errorf("%w body: not a list of args, kwargs and embed", ErrSyntax)
	}
	return nil
}

func (t *Task) readArgs(value Raw) (err error) {
	if value.IsNull() {
		return nil
	}
	if t.Args, err = value.Elements(); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	return nil
}

func (t *Task) readKwargs(value Raw) (err error) {
	if value.IsNull() || string(value) == "{}" {
		return nil
	}
	if t.Kwargs, err = value.Members(); err != nil {
		return fmt.Errorf("kwargs: %w", err)
	}
	return nil
}

const emptyEmbed = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`

func (t *Task) readEmbed(value Raw) error {
	if value.IsNull() || string(value) == emptyEmbed {
		return nil
	}
	embed, err := value.Members()
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	for _, member := range embed {
		if err := t.readEmbedded(member.Name, member.Value); err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) readEmbedded(name string, value Raw) (err error) {
	if value.IsNull() {
		return nil
	}
	switch name {
	case "callbacks":
		t.Callbacks, err = signatures(value)
	case "errbacks":
		t.Errbacks, err = signatures(value)
	case "chain":
		t.Chain, err = signatures(value)
	case "chord":
		t.Chord = value
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// signatures reads a list of signatures; one alone may stand without its list.
func signatures(value Raw) ([]Raw, error) {
	if len(value) > 0 && value[0] == '{' {
		return []Raw{value}, nil
	}
	return value.Elements()
}
