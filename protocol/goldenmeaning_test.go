package protocol

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
)

// meaning is what testdata/meaning.py makes of bytes with the real Celery's own code.
type meaning map[string]any

// summary is meaning.py's `tagged`: short values in full, long ones by their hash.
func summary(raw Raw) (string, error) {
	value, err := ParseValue(raw, Limits{})
	if err != nil {
		return "", err
	}
	text := tagged(value)
	if len([]rune(text)) <= 300 {
		return text, nil
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// differences lists where two meanings differ.
func differences(got, want meaning) string {
	got, want = compact(got), compact(want)
	var out []string
	for key := range want {
		if _, ok := got[key]; !ok {
			out = append(out, fmt.Sprintf("%s: got nothing, want %#v", key, want[key]))
		}
	}
	for key := range got {
		if !reflect.DeepEqual(got[key], want[key]) {
			out = append(out, fmt.Sprintf("%s:\n   got %#v\n  want %#v", key, got[key], want[key]))
		}
	}
	return strings.Join(out, "\n")
}

// compact leaves out what says nothing, as meaning.py does.
func compact(m meaning) meaning {
	noEmbed, _ := summary(Raw(emptyEmbed))
	nothing := map[string]any{"redelivered": false, "priority": 0.0, "retries": 0.0, "timelimit": []any{nil, nil}, "embed": noEmbed}
	out := meaning{}
	for key, value := range m {
		if value == nil || reflect.DeepEqual(value, nothing[key]) {
			continue
		}
		switch v := value.(type) {
		case meaning:
			value = compact(v)
		case map[string]any:
			value = compact(v)
		case string:
			if v == "" {
				continue
			}
		}
		out[key] = value
	}
	return out
}

// readAs gives our own reading of a record, in meaning.py's terms.
func readAs(kind, raw string) (meaning, error) {
	switch kind {
	case "task":
		return taskMeaning([]byte(raw))
	case "unacked":
		return unackedMeaning([]byte(raw))
	case "result", "group":
		return resultMeaning([]byte(raw), kind)
	}
	return broadcastMeaning([]byte(raw))
}

// taskMeaning reads a task message as the worker does.
func taskMeaning(raw []byte) (meaning, error) {
	task, err := ParseTask(raw, Limits{})
	if err != nil && !errors.Is(err, ErrPickle) {
		return nil, err
	}
	headers, headersErr := summary(task.Headers().Raw())
	if headersErr != nil {
		return nil, headersErr
	}
	out := meaning{
		"version": float64(task.Version), "headers": headers, "content_type": task.ContentType, "content_encoding": task.ContentEncoding,
		"correlation_id": task.CorrelationID, "reply_to": task.ReplyTo, "exchange": task.Exchange, "routing_key": task.RoutingKey,
		"priority": float64(task.Priority), "redelivered": task.Redelivered,
	}
	if err != nil {
		out["refused"] = "ContentDisallowed"
		return out, nil
	}
	index, ignore := any(nil), any(nil)
	if task.HasGroupIndex && task.Version == 2 {
		index = float64(task.GroupIndex)
	}
	if task.IgnoreResult != nil {
		ignore = *task.IgnoreResult
	}
	root := task.RootID
	if task.Version == 1 && root == task.ID {
		root = "" // version 1 has no root; we take the task for its own
	}
	shadow := task.Headers().Text("shadow")
	for key, value := range (meaning{
		"id": task.ID, "task": task.Name, "shadow": shadow, "root_id": root, "parent_id": task.ParentID, "group": task.GroupID, "group_index": index,
		"retries": float64(task.Retries), "eta": pythonUTC(task.ETA), "expires": pythonUTC(task.Expires),
		"timelimit": []any{secondsOrNil(task.HardTimeLimit), secondsOrNil(task.SoftTimeLimit)}, "ignore_result": ignore,
	}) {
		out[key] = value
	}
	embed := Object{{"callbacks", arrayOrNull(task.Callbacks)}, {"errbacks", arrayOrNull(task.Errbacks)}, {"chain", arrayOrNull(task.Chain)}, {"chord", orNull(task.Chord)}}
	for key, value := range map[string]Raw{"args": Array(task.Args), "kwargs": task.Kwargs.Raw(), "embed": embed.Raw()} {
		if out[key], err = summary(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pythonUTC(t Time) any {
	if t.IsZero() {
		return nil
	}
	return DateTime{Time: t.UTC()}.String()
}

func secondsOrNil(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.Seconds()
}

func unackedMeaning(raw []byte) (meaning, error) {
	parts, err := Raw(raw).Elements()
	if err != nil || len(parts) != 3 {
		return nil, fmt.Errorf("unacked entry of %d parts: %w", len(parts), err)
	}
	message, err := taskMeaning(parts[0])
	exchange, _ := parts[1].Text()
	key, _ := parts[2].Text()
	return meaning{"exchange": exchange, "routing_key": key, "message": message}, err
}

// resultMeaning reads a result, writes it again, and says what it then is: nothing may be lost in between.
func resultMeaning(raw []byte, kind string) (meaning, error) {
	if kind == "group" {
		document, err := summary(raw)
		return meaning{"document": document}, err
	}
	result, err := DecodeResult(raw)
	if err != nil {
		return nil, err
	}
	document, err := summary(result.AppendJSON(nil))
	out := meaning{"document": document}
	if result.Status != Failure && result.Status != Retry && result.Status != Revoked || err != nil {
		return out, err
	}
	exception, err := DecodeException(result.Result)
	if err != nil {
		return nil, err
	}
	args, err := summary(Array(exception.Args))
	out["exception"] = []any{exception.Type, exception.Module, args}
	return out, err
}

// broadcastMeaning reads an event, a request or a reply: an envelope with a value.
func broadcastMeaning(raw []byte) (meaning, error) {
	m, err := DecodeMessage(raw, Limits{})
	if err != nil {
		return nil, err
	}
	body, err := m.Payload(Limits{})
	if err != nil {
		return nil, err
	}
	value, err := Deserialize(m.ContentType, m.ContentEncoding, body, Limits{})
	if err != nil {
		return nil, err
	}
	payload, err := summary(value)
	if err != nil {
		return nil, err
	}
	headers, err := summary(m.Headers.Raw())
	return meaning{
		"headers": headers, "payload": payload, "content_type": m.ContentType, "content_encoding": m.ContentEncoding,
		"correlation_id": m.Properties.CorrelationID, "reply_to": m.Properties.ReplyTo, "exchange": m.Properties.Exchange,
		"routing_key": m.Properties.RoutingKey, "priority": float64(m.Properties.Priority), "redelivered": m.Properties.Redelivered,
	}, err
}

// rewrite decodes a record and encodes it again.
func rewrite(record golden) (Raw, error) {
	switch record.Kind {
	case "result":
		result, err := DecodeResult([]byte(record.Raw))
		if err != nil {
			return nil, err
		}
		return result.AppendJSON(nil), nil
	case "group":
		return Raw(record.Raw), nil
	case "unacked":
		parts, err := Raw(record.Raw).Elements()
		if err != nil {
			return nil, err
		}
		if parts[0], err = rewriteMessage(parts[0]); err != nil {
			return nil, err
		}
		return Array(parts), nil
	}
	return rewriteMessage([]byte(record.Raw))
}

func rewriteMessage(raw []byte) (Raw, error) {
	m, err := DecodeMessage(raw, Limits{})
	if err != nil {
		return nil, err
	}
	return m.AppendJSON(nil), nil
}

// rebuild makes a message out of a task's meaning with the builder that the client and the worker use.
func rebuild(raw []byte) (Raw, error) {
	task, err := ParseTask(raw, Limits{})
	if err != nil {
		return nil, err
	}
	message := TaskMessage{
		ID: task.ID, Name: task.Name, Args: task.Args, Kwargs: task.Kwargs, Callbacks: task.Callbacks, Errbacks: task.Errbacks, Chain: task.Chain, Chord: task.Chord,
		RootID: task.RootID, ParentID: task.ParentID, GroupID: task.GroupID, Shadow: task.Headers().Text("shadow"), Retries: task.Retries, ETA: task.ETA.Time,
		Expires: task.Expires.Time, HardTimeLimit: task.HardTimeLimit, SoftTimeLimit: task.SoftTimeLimit, IgnoreResult: task.IgnoreResult, Origin: "gen1@golden",
		Serializer: Serializer(task.ContentType), Compression: task.BodyCompression, ReplyTo: task.ReplyTo, Exchange: task.Exchange, RoutingKey: task.RoutingKey,
		Priority: task.Priority, DeliveryTag: uuid.NewString(),
	}
	if task.HasGroupIndex {
		message.GroupIndex = &task.GroupIndex
	}
	m, err := message.Message()
	if task.Version == 1 {
		m, err = message.MessageV1()
	}
	if err != nil {
		return nil, err
	}
	return m.AppendJSON(nil), nil
}

func encoded(raw Raw) string { return base64.StdEncoding.EncodeToString(raw) }
