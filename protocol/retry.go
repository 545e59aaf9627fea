package protocol

import (
	"fmt"
	"strconv"
	"time"
)

// RetryOptions say what differs between a task's message and that of its next attempt.
type RetryOptions struct {
	// Retries is the new count, usually Task.Retries + 1.
	Retries int
	// ETA is when the attempt is due; zero is at once.
	ETA time.Time
	// DeliveryTag is a new uuid of the caller's making.
	DeliveryTag string
	// Queue sends the attempt elsewhere; "" leaves the exchange and routing key.
	Queue string
	// Priority and IgnoreResult replace the message's when not nil. Celery writes the ignore_result that was in force, also the task's own.
	Priority     *int
	IgnoreResult *bool
	// Args and Kwargs replace the arguments when not nil.
	Args   []Raw
	Kwargs Object
	// Expires and the time limits replace the message's when not zero.
	Expires                      time.Time
	HardTimeLimit, SoftTimeLimit time.Duration
}

// RetryMessage writes the envelope of the task's next attempt, header for header as Task.retry of Celery 5.7 sends it: the same id, root, parent, group, chord,
// callbacks, chain, stamps, origin and headers of the user's own; another eta and count. The body's bytes stay as they are unless the arguments
// change. A restored message's marks (redelivered, lovage_deliveries) are left out: this is a new message. A message of version 1 becomes one of version 2, as in Celery.
func (t *Task) RetryMessage(o RetryOptions) ([]byte, error) {
	if t.envelope.body == nil {
		return nil, fmt.Errorf("retry task %s: %w: it was not read from a message with a body", t.ID, ErrSyntax)
	}
	properties, err := t.retryProperties(o)
	if err != nil {
		return nil, fmt.Errorf("retry task %s: properties: %w", t.ID, err)
	}
	headers, err := optionalObject(t.envelope.headers)
	if err != nil {
		return nil, fmt.Errorf("retry task %s: headers: %w", t.ID, err)
	}
	parts := t.envelope
	if t.objectBody || o.Args != nil || o.Kwargs != nil {
		if headers, err = t.rewrite(&parts, headers, o); err != nil {
			return nil, fmt.Errorf("retry task %s: %w", t.ID, err)
		}
		properties = properties.Set("body_encoding", Raw(`"base64"`))
	}
	parts.headers, parts.properties = t.retryHeaders(headers, o).Raw(), properties.Raw()
	return parts.appendJSON(nil), nil
}

// rewrite makes the body anew, for other arguments or out of a body of version 1, and gives the headers that go with it.
func (t *Task) rewrite(parts *envelope, headers Object, o RetryOptions) (Object, error) {
	args, kwargs := t.Args, t.Kwargs
	if o.Args != nil {
		args = o.Args
	}
	if o.Kwargs != nil {
		kwargs = o.Kwargs
	}
	m, err := t.asMessage(args, kwargs).Message()
	if err != nil {
		return nil, err
	}
	parts.body, parts.contentType, parts.contentEncoding = Quote(string(m.Body)), Quote(m.ContentType), Quote(m.ContentEncoding)
	if !t.objectBody {
		return headers.Set("argsrepr", Quote(ReprArgs(args, reprLimit))).Set("kwargsrepr", Quote(ReprKwargs(kwargs, reprLimit))), nil
	}
	for _, member := range headers {
		if _, known := m.Headers.Get(member.Name); !known || t.Version == 2 { // known names mean nothing in the headers of version 1
			m.Headers = m.Headers.Set(member.Name, member.Value)
		}
	}
	return m.Headers, nil
}

// asMessage is the task as a message of version 2 would carry it.
func (t *Task) asMessage(args []Raw, kwargs Object) *TaskMessage {
	m := &TaskMessage{
		ID: t.ID, Name: t.Name, Args: args, Kwargs: kwargs, Origin: t.Origin(),
		Callbacks: t.Callbacks, Errbacks: t.Errbacks, Chain: t.Chain, Chord: t.Chord,
		RootID: t.RootID, ParentID: t.ParentID, GroupID: t.GroupID, Shadow: t.Shadow, Retries: t.Retries,
		ETA: t.ETA.Time, Expires: t.Expires.Time, HardTimeLimit: t.HardTimeLimit, SoftTimeLimit: t.SoftTimeLimit,
		IgnoreResult: t.IgnoreResult, Serializer: Serializer(t.ContentType), Compression: t.BodyCompression,
	}
	if t.HasGroupIndex {
		m.GroupIndex = &t.GroupIndex
	}
	return m
}

func (t *Task) retryHeaders(headers Object, o RetryOptions) Object {
	headers = headers.Delete("redelivered").Delete(DeliveriesHeader)
	headers = headers.Set("eta", timeOrNull(o.ETA)).Set("retries", Raw(strconv.Itoa(o.Retries)))
	if root, _ := headers.Get("root_id"); !truthy(root) {
		headers = headers.Set("root_id", Quote(t.RootID))
	}
	if parent, _ := headers.Get("parent_id"); !truthy(parent) { // sent by the task itself, as Celery sees it
		headers = headers.Set("parent_id", Quote(t.ID))
	}
	if !o.Expires.IsZero() {
		headers = headers.Set("expires", timeOrNull(o.Expires))
	}
	if o.IgnoreResult != nil {
		headers = headers.Set("ignore_result", strconv.AppendBool(nil, *o.IgnoreResult))
	}
	if o.HardTimeLimit != 0 || o.SoftTimeLimit != 0 {
		hard, soft := o.HardTimeLimit, o.SoftTimeLimit
		if hard == 0 {
			hard = t.HardTimeLimit
		}
		if soft == 0 {
			soft = t.SoftTimeLimit
		}
		headers = headers.Set("timelimit", Array([]Raw{secondsOrNull(hard), secondsOrNull(soft)}))
	}
	return headers
}

func (t *Task) retryProperties(o RetryOptions) (Object, error) {
	properties, err := optionalObject(t.envelope.properties)
	if err != nil {
		return nil, err
	}
	value, _ := properties.Get("delivery_info")
	info := Object{}
	if len(value) > 0 && value[0] == '{' {
		if info, err = value.Members(); err != nil {
			return nil, err
		}
	}
	info = info.Delete("redelivered")
	if o.Queue != "" {
		info = info.Set("exchange", Raw(`""`)).Set("routing_key", Quote(o.Queue))
	}
	if o.Priority != nil {
		properties = properties.Set("priority", Raw(strconv.Itoa(min(9, max(0, *o.Priority)))))
	}
	// expiration counts from the sending in milliseconds; over Redis nothing reads it, and the header expires stays.
	return properties.Delete("expiration").Set("correlation_id", Quote(t.ID)).
		Set("delivery_info", info.Raw()).Set("delivery_tag", Quote(o.DeliveryTag)), nil
}
