package protocol

import (
	"bytes"
	"errors"
	"testing"
)

// small keeps what a fuzzed decoder may allocate low enough to notice when it goes beyond.
var small = Limits{MaxBody: 1 << 20, MaxDepth: 100}

func seedMessages(f *testing.F) {
	f.Add([]byte(commonMessage))
	f.Add([]byte(commonV1))
	f.Add([]byte(commonMessage[:len(commonMessage)/2]))
	f.Add([]byte(`{"body": "", "headers": {"task": "\ud800", "timelimit": [1e999, -1], "eta": {"__type__": "datetime", "__value__": "x"}}}`))
	f.Add([]byte(`{"body": "W1tdLHt9LHt9XQ==", "headers": {"task": "a", "id": 1, "retries": "NaN", "compression": "application/x-gzip"}, "properties": {"body_encoding": "base64", "priority": 1e300}}`))
}

// commonV1 is a message of protocol 1, as gocelery writes it.
const commonV1 = `{"body":"eyJpZCI6ImkiLCJ0YXNrIjoidC5hZGQiLCJhcmdzIjpbMSwyXSwia3dhcmdzIjp7fSwicmV0cmllcyI6MCwiZXRhIjpudWxsLCJleHBpcmVzIjpudWxsfQ==","headers":{},"content-type":"application/json","properties":{"body_encoding":"base64","correlation_id":"i","reply_to":"r","delivery_info":{"priority":0,"routing_key":"celery","exchange":"celery"},"delivery_mode":2,"delivery_tag":"t"},"content-encoding":"utf-8"}`

func FuzzParseTask(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := ParseTask(data, small)
		if task == nil {
			t.Fatal("no task")
		}
		if err != nil {
			var decode *DecodeError
			if !errors.As(err, &decode) {
				t.Fatalf("%T is no DecodeError", err)
			}
			return
		}
		task.Headers()
		for _, arg := range task.Args {
			if err := arg.Valid(Limits{}); err != nil {
				t.Fatalf("argument %q: %v", arg, err)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMessage(data, small)
		if err != nil {
			return
		}
		again, err := DecodeMessage(m.AppendJSON(nil), small)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !bytes.Equal(again.Body, m.Body) || again.ContentType != m.ContentType || len(again.Headers) != len(m.Headers) || again.Properties.Priority != m.Properties.Priority {
			t.Fatalf("read %+v, wrote and read %+v", m, again)
		}
	})
}

func FuzzMarkRedelivered(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := ParseTask(data, small)
		marked, markErr := MarkRedelivered(data, 3)
		if err != nil {
			return
		}
		if markErr != nil {
			t.Fatalf("a good message cannot be marked: %v", markErr)
		}
		after, err := ParseTask(marked, small)
		if err != nil {
			t.Fatalf("a marked message cannot be read: %v\n%s", err, marked)
		}
		if !after.Redelivered || after.Deliveries != 3 || after.ID != before.ID || after.Name != before.Name || len(after.Args) != len(before.Args) {
			t.Fatalf("marked %+v as %+v", before, after)
		}
	})
}

func FuzzSignature(f *testing.F) {
	f.Add([]byte(`{"task": "t.add", "args": [1], "kwargs": {}, "options": {"task_id": "i", "reply_to": "r"}, "subtask_type": null, "immutable": false}`))
	f.Add([]byte(`{"task": "celery.chord", "args": [], "kwargs": {"header": []}, "options": {}, "subtask_type": "chord", "immutable": true, "chord_size": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if Raw(data).Valid(small) != nil {
			return
		}
		s, err := DecodeSignature(data)
		if err != nil {
			return
		}
		again, err := DecodeSignature(s.Raw())
		if err != nil || again.Task != s.Task || len(again.Args) != len(s.Args) || again.Immutable != s.Immutable {
			t.Fatalf("read %+v, wrote and read %+v, %v", s, again, err)
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
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeControl(data, small); err == nil {
			again, err := DecodeControl(r.Message("celery.pidbox", "d").AppendJSON(nil), small)
			if err != nil || again.Method != r.Method || len(again.Destination) != len(r.Destination) {
				t.Fatalf("read %+v, wrote and read %+v, %v", r, again, err)
			}
		}
		_, _ = DecodeControlReply(data, small)
	})
}
