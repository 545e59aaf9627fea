package protocol

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func anyValue() *rapid.Generator[Raw] {
	return rapid.Custom(func(t *rapid.T) Raw { return drawValue(t, 3) })
}

func drawValue(t *rapid.T, depth int) Raw {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return Raw(rapid.SampledFrom([]string{"null", "true", "false", "NaN", "-Infinity", "1.0", "1e300", "-0", "123456789012345678901234567890"}).Draw(t, "word"))
	case 1, 2:
		return Quote(rapid.String().Draw(t, "text"))
	case 3:
		return Raw(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number"))
	case 4:
		return Array(drawValues(t, depth-1))
	default:
		return drawObject(t, depth-1).Raw()
	}
}

func drawValues(t *rapid.T, depth int) []Raw {
	values := make([]Raw, rapid.IntRange(0, 4).Draw(t, "length"))
	for i := range values {
		values[i] = drawValue(t, depth)
	}
	return values
}

func drawObject(t *rapid.T, depth int) Object {
	var object Object
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		object = object.Set("x"+rapid.String().Draw(t, "name"), drawValue(t, depth))
	}
	return object
}

func drawTime(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, "no "+name) {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, name)).UTC()
}

func drawTask(t *rapid.T) *TaskMessage {
	text := func(name string) string { return rapid.String().Draw(t, name) }
	m := &TaskMessage{
		ID: "i" + text("id"), Name: "n" + text("name"), Args: drawValues(t, 2), Kwargs: drawObject(t, 2), Headers: drawObject(t, 2),
		RootID: text("root"), ParentID: text("parent"), GroupID: text("group"), Shadow: text("shadow"), Retries: rapid.IntRange(0, 99).Draw(t, "retries"),
		ETA: drawTime(t, "eta"), Expires: drawTime(t, "expires"), HardTimeLimit: time.Duration(rapid.IntRange(0, 9999).Draw(t, "hard")) * 100 * time.Millisecond,
		ReplyTo: text("reply to"), RoutingKey: text("queue"), Priority: rapid.IntRange(0, 9).Draw(t, "priority"), DeliveryTag: text("tag"),
		Serializer:  Serializer(rapid.SampledFrom([]string{"json", "msgpack"}).Draw(t, "serializer")),
		Compression: rapid.SampledFrom([]string{"", "gzip", "zstd"}).Draw(t, "compression"),
	}
	if rapid.Bool().Draw(t, "has index") {
		index := rapid.IntRange(0, 9).Draw(t, "index")
		m.GroupIndex = &index
	}
	if m.Serializer == "msgpack" { // it has no integers beyond 64 bits; values are held against kombu elsewhere
		m.Args, m.Kwargs = []Raw{Raw("1"), Quote(text("argument"))}, nil
	}
	return m
}

func (t *Task) agrees(m *TaskMessage) bool {
	root := m.RootID
	if root == "" {
		root = m.ID
	}
	return t.ID == m.ID && t.Name == m.Name && t.RootID == root && t.ParentID == m.ParentID && t.GroupID == m.GroupID && t.Shadow == m.Shadow &&
		t.HasGroupIndex == (m.GroupIndex != nil) && (m.GroupIndex == nil || t.GroupIndex == *m.GroupIndex) &&
		t.Expires.Equal(m.Expires) && t.HardTimeLimit == m.HardTimeLimit && t.ReplyTo == m.ReplyTo && t.RoutingKey == m.RoutingKey && t.Priority == m.Priority &&
		slices.EqualFunc(t.Args, m.Args, func(a, b Raw) bool { return bytes.Equal(a, b) }) && bytes.Equal(t.Kwargs.Raw(), m.Kwargs.Raw())
}

// TestWhatIsSentIsReadAndRetried: a task means the same after writing and reading, also once it was restored and retried; no header is lost.
func TestWhatIsSentIsReadAndRetried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := drawTask(t)
		m, err := sent.Message()
		if err != nil {
			t.Fatal(err)
		}
		data := m.AppendJSON(nil)
		task, err := ParseTask(data, Limits{})
		if err != nil || !task.agrees(sent) || task.Retries != sent.Retries || !task.ETA.Equal(sent.ETA) {
			t.Fatalf("%v: %+v was read from\n%s", err, task, data)
		}
		restored, err := MarkRedelivered(data, 2)
		if err != nil {
			t.Fatal(err)
		}
		if task, err = ParseTask(restored, Limits{}); err != nil || !task.Redelivered || task.Deliveries != 2 || !task.agrees(sent) {
			t.Fatalf("%v: %+v was read after the restore from\n%s", err, task, restored)
		}
		eta := drawTime(t, "new eta")
		again, err := task.RetryMessage(RetryOptions{Retries: sent.Retries + 1, ETA: eta, DeliveryTag: "d"})
		if err != nil {
			t.Fatal(err)
		}
		retried, err := ParseTask(again, Limits{})
		if retried != nil && sent.ParentID == "" && retried.ParentID == sent.ID {
			retried.ParentID = "" // the next attempt of a root has the root as its parent
		}
		if err != nil || !retried.agrees(sent) || retried.Retries != sent.Retries+1 || !retried.ETA.Equal(eta) || retried.Redelivered || retried.Deliveries != 0 {
			t.Fatalf("%v: %+v was read after the retry from\n%s", err, retried, again)
		}
		headers := retried.Headers()
		for _, own := range sent.Headers {
			if value, _ := headers.Get(own.Name); !bytes.Equal(value, own.Value) {
				t.Fatalf("header %q: %s became %s", own.Name, own.Value, value)
			}
		}
	})
}

// TestSetHeaderLeavesTheRest: one header changes, all others and the body stay byte for byte.
func TestSetHeaderLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		headers, value := drawObject(t, 3), anyValue().Draw(t, "value")
		name := "x" + rapid.String().Draw(t, "name")
		if len(headers) > 0 && rapid.Bool().Draw(t, "known") {
			name = rapid.SampledFrom(headers).Draw(t, "member").Name
		}
		space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
		data := []byte(space + `{"body" :"a\u0062",` + space + `"headers":` + space + string(headers.Raw()) + `,"more":1.0}` + space)
		changed, err := SetHeader(data, name, value)
		if err != nil {
			t.Fatal(err)
		}
		if _, known := headers.Get(name); known && len(changed)-len(value) > len(data) {
			t.Fatalf("%s became\n%s", data, changed)
		}
		m, err := DecodeMessage(changed, Limits{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, changed)
		}
		if want := slices.Clone(headers).Set(name, value); !bytes.Equal(want.Raw(), m.Headers.Raw()) {
			t.Fatalf("%s, not %s", m.Headers.Raw(), want.Raw())
		}
		if !strings.Contains(string(changed), `{"body" :"a\u0062",`+space+`"headers":`) || !strings.HasSuffix(string(changed), `,"more":1.0}`+space) {
			t.Fatalf("%s became\n%s", data, changed)
		}
	})
}

// TestTheScannerAgreesWithEncodingJSON: on text in which Python's own words do not occur the scanner accepts what encoding/json accepts.
func TestTheScannerAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(anyValue().Draw(t, "value"))
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[at] = rapid.SampledFrom([]byte(`{}[]",:\u0019.eE+-tfn `+"\n\x00\x7f")).Draw(t, "byte")
		}
		if bytes.Contains(text, []byte("NaN")) || bytes.Contains(text, []byte("Infinity")) {
			return
		}
		if got, want := Raw(text).Valid(Limits{}) == nil, json.Valid(text); got != want {
			t.Fatalf("%q: valid %t here, %t in encoding/json", text, got, want)
		}
	})
}
