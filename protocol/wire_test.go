package protocol

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestEventsAreWrittenAsCelerysDispatcherWrites: reading and writing a captured message gives the same bytes.
func TestEventsAreWrittenAsCelerysDispatcherWrites(t *testing.T) {
	for _, captured := range []string{heartbeatMessage, taskMultiMessage} {
		m, err := DecodeMessage([]byte(captured), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		body, err := m.Payload(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		events, err := DecodeEvents(body)
		if err != nil {
			t.Fatal(err)
		}
		batch := body[0] == '['
		key := EventRoutingKey(events[0].Type, batch)
		written := EventMessage(events, batch, key, events[0].Hostname, m.Properties.DeliveryTag).AppendJSON(nil)
		if string(written) != captured {
			t.Errorf("wrote\n%s, Celery\n%s", written, captured)
		}
	}
}

// TestControlRequestsAreWrittenAsKombusMailboxWrites: reading and writing a captured message gives the same bytes.
func TestControlRequestsAreWrittenAsKombusMailboxWrites(t *testing.T) {
	for _, captured := range []string{pingMessage, rateLimitMessage} {
		m, err := DecodeMessage([]byte(captured), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		request, err := DecodeControl([]byte(captured), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if written := request.Message(ControlExchange, m.Properties.DeliveryTag).AppendJSON(nil); string(written) != captured {
			t.Errorf("wrote\n%s, kombu\n%s", written, captured)
		}
	}
}

func TestWhomAControlRequestIsFor(t *testing.T) {
	for _, c := range []struct {
		request ControlRequest
		want    bool
	}{
		{ControlRequest{}, true},
		{ControlRequest{Destination: []string{}}, true},
		{ControlRequest{Destination: []string{"a@h", "w@h"}}, true},
		{ControlRequest{Destination: []string{"a@h"}, Pattern: "w*", Matcher: "glob"}, false},
		{ControlRequest{Pattern: "w*", Matcher: "glob"}, true},
		{ControlRequest{Pattern: "@h", Matcher: "pcre"}, false},
		{ControlRequest{Pattern: "a|w", Matcher: "pcre"}, true},
		{ControlRequest{Pattern: "x*"}, true}, // kombu looks at a pattern only with a matcher
	} {
		if got, err := c.request.For("w@h"); got != c.want || err != nil {
			t.Errorf("%+v is for w@h: %t %v", c.request, got, err)
		}
	}
	for _, unusable := range []ControlRequest{{Pattern: "(", Matcher: "pcre"}, {Pattern: "a", Matcher: "other"}, {Pattern: "[z-a]", Matcher: "glob"}} {
		if got, err := unusable.For("w@h"); got {
			t.Errorf("%+v is for w@h (%v)", unusable, err)
		}
	}
}

// TestSignaturesAreWrittenAsCelerysCanvasWrites: reading and writing gives the same bytes, and the members are found.
func TestSignaturesAreWrittenAsCelerysCanvasWrites(t *testing.T) {
	for text, members := range map[string]int{chainSignature: 3, chordSignature: 2} {
		s, err := DecodeSignature(Raw(text))
		if err != nil {
			t.Fatal(err)
		}
		if written := s.Raw(); string(written) != text {
			t.Errorf("wrote\n%s, Celery\n%s", written, text)
		}
		tasks, err := s.Tasks()
		if err != nil || len(tasks) != members {
			t.Errorf("%d members, %v, in\n%s", len(tasks), err, text)
		}
	}
}

// TestAPickleIsRefusedWithAdvice: the error says which setting to change in Python, and whose message it was.
func TestAPickleIsRefusedWithAdvice(t *testing.T) {
	message := strings.Replace(commonMessage, `"content-type": "application/json"`, `"content-type": "application/x-python-serialize"`, 1)
	task, err := ParseTask([]byte(message), Limits{})
	var decode *DecodeError
	if !errors.Is(err, ErrPickle) || !errors.As(err, &decode) || decode.Reason != "ContentDisallowed" || !strings.Contains(err.Error(), "task_serializer = 'json'") {
		t.Errorf("the error is %v", err)
	}
	if task.ID == "" || task.Name != "t.add" || task.ReplyTo == "" {
		t.Errorf("read %+v", task)
	}
}

// TestLimitsHoldBeforeMemoryIsTaken: a body beyond the limit, plain or inflated, and values nested too deeply are refused.
func TestLimitsHoldBeforeMemoryIsTaken(t *testing.T) {
	big := "[[" + strings.Repeat("1, ", 400_000) + "1], {}, {}]"
	deep := "[[" + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "], {}, {}]"
	compressed, err := (&TaskMessage{ID: "i", Name: "t", Args: []Raw{Quote(strings.Repeat("a", 1<<20))}, Compression: "gzip"}).Message()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		message string
		want    error
	}{
		"big":                {taskEnvelope(`{}`, big, ""), ErrTooLarge},
		"big when inflated":  {string(compressed.AppendJSON(nil)), ErrTooLarge},
		"deep body":          {taskEnvelope(`{}`, deep, ""), ErrTooDeep},
		"deep header":        {strings.Replace(commonMessage, `"stamps": {}`, `"stamps": `+strings.Repeat("[", 600)+strings.Repeat("]", 600), 1), ErrTooDeep},
		"deep and never end": {`{"headers": {"id": "i", "x": ` + strings.Repeat(`{"a":`, 1_000_000), ErrTooDeep},
	} {
		lim := Limits{MaxBody: 1 << 19}
		var err error
		used := allocated(func() { _, err = ParseTask([]byte(c.message), lim) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if most := uint64(2*len(c.message) + 4<<20); used > most { // the message's own copy, the inflater's windows
			t.Errorf("%s: %d bytes allocated for a message of %d", name, used, len(c.message))
		}
	}
}

// TestVersion1IsReadAsItWasWritten: what version 1 can say survives.
func TestVersion1IsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := drawTask(t)
		m, err := sent.MessageV1()
		if err != nil {
			t.Fatal(err)
		}
		data := m.AppendJSON(nil)
		task, err := ParseTask(data, Limits{})
		sent.RootID, sent.ParentID, sent.Shadow = "", "", ""
		if err != nil || task.Version != 1 || !task.agrees(sent) || task.Retries != sent.Retries || !task.ETA.Equal(sent.ETA) {
			t.Fatalf("%v: %+v was read from\n%s", err, task, data)
		}
	})
}
