package protocol

import (
	"bytes"
	"errors"
	"testing"
)

// small keeps what a fuzzed decoder may allocate low enough to notice when it goes beyond.
var small = Limits{MaxBody: 1 << 20, MaxDepth: 100}

// envelopes are the seeds of every decoder that reads an envelope.
var envelopes = []string{
	commonMessage,
	v1Message,
	heartbeatMessage,
	pingMessage,
	`{"body": "eyJhcmdzIjogWzFdLCAia3dhcmdzIjogeyJhIjogTmFOfX0=", "headers": {"task": "t", "id": "1", "retries": null, "timelimit": [1.5, null], "ignore_result": 0}, "properties": {"body_encoding": "base64"}}`,
	`{"body":"[[],null,{\"chain\":[{\"task\":\"t\"}],\"chord\":{}}]","headers":{"t\u0061sk":"t","id":7,"eta":"2026-01-02T03:04:05+02:00","expires":"20260102T030405Z"},"properties":{"priority":"12","delivery_info":null}}`,
	`{"body": "gAJdcQAu", "content-type": "application/x-python-serialize", "headers": {"task": "t", "id": "i"}, "properties": {"body_encoding": "base64", "reply_to": "r"}}`,
	`{"body": "eJyLjo7VUaiujQUAEXcDIQ==", "headers": {"task": "t", "id": "i", "compression": "application/x-gzip"}, "properties": {"body_encoding": "base64"}}`,
	commonV1,
	commonMessage[:len(commonMessage)/2],
	`{"body": "", "headers": {"task": "\ud800", "timelimit": [1e999, -1], "eta": {"__type__": "datetime", "__value__": "x"}}}`,
	`{"body": "W1tdLHt9LHt9XQ==", "headers": {"task": "a", "id": 1, "retries": "NaN", "compression": "application/x-gzip"}, "properties": {"body_encoding": "base64", "priority": 1e300}}`,
	`{}`, `{"body": null}`, `{"headers": {`, `{"headers":`, `[`, ``,
}

func seed(f *testing.F, texts ...string) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
}

// commonV1 is a message of protocol 1, as gocelery writes it.
const commonV1 = `{"body":"eyJpZCI6ImkiLCJ0YXNrIjoidC5hZGQiLCJhcmdzIjpbMSwyXSwia3dhcmdzIjp7fSwicmV0cmllcyI6MCwiZXRhIjpudWxsLCJleHBpcmVzIjpudWxsfQ==","headers":{},"content-type":"application/json","properties":{"body_encoding":"base64","correlation_id":"i","reply_to":"r","delivery_info":{"priority":0,"routing_key":"celery","exchange":"celery"},"delivery_mode":2,"delivery_tag":"t"},"content-encoding":"utf-8"}`

// FuzzParseTask: no input panics, errors are *DecodeErrors, and what is read can be retried and read again with the same meaning.
func FuzzParseTask(f *testing.F) {
	seed(f, envelopes...)
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := ParseTask(data, small)
		var decode *DecodeError
		if err != nil && !errors.As(err, &decode) {
			t.Fatalf("%v is no DecodeError", err)
		}
		task.Headers()
		if err != nil {
			return
		}
		if _, err := DecodeMessage(data, small); err != nil {
			t.Fatalf("ParseTask reads what DecodeMessage refuses: %v", err)
		}
		again, err := task.RetryMessage(RetryOptions{Retries: task.Retries, DeliveryTag: "d"})
		if err != nil {
			if task.objectBody || len(task.envelope.body) == 0 {
				return
			}
			t.Fatal(err)
		}
		second, err := ParseTask(again, Limits{MaxBody: 8 << 20, MaxDepth: 120})
		if err != nil {
			t.Fatalf("%v in the retry\n%s", err, again)
		}
		if second.ID != task.ID || second.Name != task.Name || !bytes.Equal(Array(second.Args), Array(task.Args)) ||
			second.RootID != task.RootID || second.Version != 2 || second.GroupID != task.GroupID || second.Expires.Unix() != task.Expires.Unix() {
			t.Fatalf("%s\nbecame\n%s", data, again)
		}
	})
}

// FuzzMessage: an envelope that is read, written and read again is the same.
func FuzzMessage(f *testing.F) {
	seed(f, envelopes...)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMessage(data, small)
		if err != nil {
			return
		}
		_, _ = m.Payload(small)
		first := m.AppendJSON(nil)
		second, err := DecodeMessage(first, small)
		if err != nil {
			t.Fatalf("%v in our own\n%s", err, first)
		}
		if written := second.AppendJSON(nil); !bytes.Equal(first, written) {
			t.Fatalf("not stable:\n%s\n%s", first, written)
		}
	})
}

// FuzzMarkRedelivered: the marks are there, and nothing else has changed.
func FuzzMarkRedelivered(f *testing.F) {
	seed(f, envelopes...)
	f.Fuzz(func(t *testing.T, data []byte) {
		marked, err := MarkRedelivered(data, 3)
		if err != nil {
			return
		}
		before, errBefore := DecodeMessage(data, Limits{})
		after, err := DecodeMessage(marked, Limits{})
		if errBefore != nil {
			return
		}
		if err != nil {
			t.Fatalf("%v after marking\n%s", err, marked)
		}
		if count, _ := after.Headers.Get(DeliveriesHeader); string(count) != "3" {
			t.Fatalf("no count in\n%s", marked)
		}
		without := func(headers Object) string {
			return string(headers.Delete("redelivered").Delete(DeliveriesHeader).Raw())
		}
		if without(before.Headers) != without(after.Headers) || !bytes.Equal(before.Body, after.Body) {
			t.Fatalf("changed more than the marks:\n%s\n%s", data, marked)
		}
		if again, err := MarkRedelivered(marked, 3); err != nil || !bytes.Equal(again, marked) {
			t.Fatalf("marking twice differs (%v):\n%s\n%s", err, marked, again)
		}
	})
}

// FuzzSignature: what is read is written and read again unchanged.
func FuzzSignature(f *testing.F) {
	seed(f, chainSignature, chordSignature, `{"task": "t"}`, `{"task":"t","args":null,"chord_size":null,"immutable":1,"more":{}}`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if Raw(data).Valid(small) != nil {
			return
		}
		s, err := DecodeSignature(data)
		if err != nil {
			return
		}
		_, _ = s.Tasks()
		first := s.Raw()
		second, err := DecodeSignature(first)
		if err != nil || !bytes.Equal(second.Raw(), first) {
			t.Fatalf("%s became %v (%v)", first, second, err)
		}
	})
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"status": "SUCCESS", "result": 3, "traceback": null, "children": [], "date_done": "2026-11-24T02:17:16.187493+00:00", "task_id": "i"}`))
	f.Add([]byte(`{"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_message": ["a", 1], "exc_module": "builtins"}, "traceback": "T", "children": [[["x", null], null]], "date_done": "2026-11-24T02:17:16", "group_id": "g", "task_id": "i"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeResult(data)
		if err != nil {
			return
		}
		again, err := DecodeResult(r.AppendJSON(nil))
		if err != nil || again.Status != r.Status || again.TaskID != r.TaskID || !bytes.Equal(orNull(again.Result), orNull(r.Result)) {
			t.Fatalf("read %+v, wrote and read %+v, %v", r, again, err)
		}
		if x, err := DecodeException(r.Result); err == nil {
			if again, err := DecodeException(x.Raw()); err != nil || again.Type != x.Type || len(again.Args) != len(x.Args) {
				t.Fatalf("read %+v, wrote and read %+v, %v", x, again, err)
			}
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`[{"hostname": "w@h", "utcoffset": 0, "pid": 1, "clock": 5, "uuid": "i", "timestamp": 1.5, "type": "task-started"}]`))
	f.Add([]byte(`{"type": "worker-heartbeat", "freq": 2.0, "loadavg": [0.1, 0.2, 0.3], "clock": 99999999999999999999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Raw(data).Valid(small) != nil {
			return
		}
		events, err := DecodeEvents(data)
		if err != nil {
			return
		}
		for _, e := range events {
			if again, err := DecodeEvent(e.Raw()); err != nil || again.Type != e.Type || again.Clock != e.Clock {
				t.Fatalf("read %+v, wrote and read %+v, %v", e, again, err)
			}
		}
	})
}

func FuzzControl(f *testing.F) {
	request := ControlRequest{Method: "ping", Destination: []string{"a@b"}, Ticket: "t", ReplyExchange: "reply.celery.pidbox", ReplyKey: "k", Clock: 3, Expires: 1.5}
	f.Add(request.Message("celery.pidbox", "d").AppendJSON(nil))
	f.Add(ControlReply{Hostname: "a@b", Answer: Raw(`{"ok": "pong"}`), Ticket: "t"}.Message("reply.celery.pidbox", "k", "d").AppendJSON(nil))
	seed(f, envelopes...)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeControl(data, small); err == nil {
			_, _ = r.For("worker@host")
			again, err := DecodeControl(r.Message("celery.pidbox", "d").AppendJSON(nil), small)
			if err != nil || again.Method != r.Method || len(again.Destination) != len(r.Destination) {
				t.Fatalf("read %+v, wrote and read %+v, %v", r, again, err)
			}
		}
		_, _ = DecodeControlReply(data, small)
	})
}
