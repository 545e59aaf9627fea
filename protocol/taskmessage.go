package protocol

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// TaskMessage is a task message to be written, version 2 (celery/app/amqp.py, as_task_v2).
type TaskMessage struct {
	ID, Name string
	Args     []Raw
	Kwargs   Object
	// Callbacks, Errbacks, Chain (in reverse) and Chord are signatures.
	Callbacks, Errbacks, Chain []Raw
	Chord                      Raw

	RootID, ParentID, GroupID, Shadow string
	GroupIndex                        *int
	Retries                           int
	ETA, Expires                      time.Time
	HardTimeLimit, SoftTimeLimit      time.Duration
	IgnoreResult                      *bool
	ReplacedTaskNesting               int
	StampedHeaders, Stamps            Raw
	// KwargsRepr is shown for the keyword arguments; "" is Python's repr of them.
	KwargsRepr string
	// Origin is gen<pid>@<host> of the sender.
	Origin string
	// Headers are the caller's own, merged in at the same level.
	Headers Object

	// Serializer is json (default), msgpack or yaml; Compression a name or content type, empty for none.
	Serializer  Serializer
	Compression string

	ReplyTo, Exchange, RoutingKey string
	Priority                      int
	// DeliveryTag is a uuid of the caller's making.
	DeliveryTag string
}

// reprLimit is where Celery cuts argsrepr and kwargsrepr (app.amqp.argsrepr_maxsize).
const reprLimit = 1024

// Message writes the task as an envelope.
func (t *TaskMessage) Message() (*Message, error) {
	body := appendArray(nil, []Raw{Array(t.Args), t.Kwargs.Raw(), t.embed().Raw()})
	return t.envelope(body, t.headers())
}

// envelope serializes and compresses a body and puts it under the headers.
func (t *TaskMessage) envelope(body Raw, headers Object) (*Message, error) {
	data, contentType, encoding, err := t.Serializer.Serialize(body)
	if err != nil {
		return nil, fmt.Errorf("write task %s: %w", t.Name, err)
	}
	if t.Compression != "" {
		name := compressionType(t.Compression)
		if data, err = Deflate(name, data); err != nil {
			return nil, fmt.Errorf("write task %s: %w", t.Name, err)
		}
		headers = headers.Set("compression", Quote(name))
	}
	return &Message{
		Body:            base64.StdEncoding.AppendEncode(nil, data),
		ContentType:     contentType,
		ContentEncoding: encoding,
		Headers:         headers,
		Properties: Properties{
			CorrelationID: t.ID, ReplyTo: t.ReplyTo, DeliveryMode: 2, Exchange: t.Exchange, RoutingKey: t.RoutingKey,
			Priority: t.Priority, BodyEncoding: "base64", DeliveryTag: t.DeliveryTag,
		},
	}, nil
}

func (t *TaskMessage) embed() Object {
	return Object{
		{"callbacks", arrayOrNull(t.Callbacks)},
		{"errbacks", arrayOrNull(t.Errbacks)},
		{"chain", arrayOrNull(t.Chain)},
		{"chord", orNull(t.Chord)},
	}
}

func arrayOrNull(elements []Raw) Raw {
	if elements == nil {
		return Raw("null")
	}
	return Array(elements)
}

func orNull(value Raw) Raw {
	if len(value) == 0 {
		return Raw("null")
	}
	return value
}

func textOrNull(text string) Raw {
	if text == "" {
		return Raw("null")
	}
	return Quote(text)
}

func timeOrNull(t time.Time) Raw {
	if t.IsZero() {
		return Raw("null")
	}
	return Quote(FormatTime(t))
}

func secondsOrNull(d time.Duration) Raw {
	if d == 0 {
		return Raw("null")
	}
	if d%time.Second == 0 {
		return strconv.AppendInt(nil, int64(d/time.Second), 10)
	}
	return AppendFloat(nil, d.Seconds())
}

func (t *TaskMessage) groupIndex() Raw {
	if t.GroupIndex == nil {
		return Null()
	}
	return Raw(strconv.Itoa(*t.GroupIndex))
}

func (t *TaskMessage) kwargsRepr() Raw {
	if t.KwargsRepr != "" {
		return Quote(t.KwargsRepr)
	}
	return Quote(ReprKwargs(t.Kwargs, reprLimit))
}

func (t *TaskMessage) headers() Object {
	root := t.RootID
	if root == "" {
		root = t.ID
	}
	ignore := Null()
	if t.IgnoreResult != nil {
		ignore = strconv.AppendBool(nil, *t.IgnoreResult)
	}
	stamps := t.Stamps
	if len(stamps) == 0 {
		stamps = Raw("{}")
	}
	headers := Object{
		{"lang", Raw(`"py"`)},
		{"task", Quote(t.Name)},
		{"id", Quote(t.ID)},
		{"shadow", textOrNull(t.Shadow)},
		{"eta", timeOrNull(t.ETA)},
		{"expires", timeOrNull(t.Expires)},
		{"group", textOrNull(t.GroupID)},
		{"group_index", t.groupIndex()},
		{"retries", Raw(strconv.Itoa(t.Retries))},
		{"timelimit", Array([]Raw{secondsOrNull(t.HardTimeLimit), secondsOrNull(t.SoftTimeLimit)})},
		{"root_id", Quote(root)},
		{"parent_id", textOrNull(t.ParentID)},
		{"argsrepr", Quote(ReprArgs(t.Args, reprLimit))},
		{"kwargsrepr", t.kwargsRepr()},
		{"origin", textOrNull(t.Origin)},
		{"ignore_result", ignore},
		{"replaced_task_nesting", Raw(strconv.Itoa(t.ReplacedTaskNesting))},
		{"stamped_headers", orNull(t.StampedHeaders)},
		{"stamps", stamps},
	}
	for _, member := range t.Headers {
		headers = headers.Set(member.Name, member.Value)
	}
	return headers
}

// MessageV1 writes the task as a message of version 1 (task_protocol = 1), which is also gocelery's dialect. Version 1 knows no root, parent, shadow or
// stamps.
func (t *TaskMessage) MessageV1() (*Message, error) {
	body := Object{
		{"task", Quote(t.Name)},
		{"id", Quote(t.ID)},
		{"args", Array(t.Args)},
		{"kwargs", t.Kwargs.Raw()},
		{"group", textOrNull(t.GroupID)},
		{"group_index", t.groupIndex()},
		{"retries", Raw(strconv.Itoa(t.Retries))},
		{"eta", timeOrNull(t.ETA)},
		{"expires", timeOrNull(t.Expires)},
		{"utc", Raw("true")},
		{"callbacks", arrayOrNull(t.Callbacks)},
		{"errbacks", arrayOrNull(t.Errbacks)},
		{"timelimit", Array([]Raw{secondsOrNull(t.HardTimeLimit), secondsOrNull(t.SoftTimeLimit)})},
		{"taskset", textOrNull(t.GroupID)},
		{"chord", orNull(t.Chord)},
	}
	return t.envelope(body.Raw(), slices.Clone(t.Headers))
}
