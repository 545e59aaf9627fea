package protocol

import (
	"reflect"
	"strings"
	"testing"
)

// payloadOf opens the envelope of a golden record.
func payloadOf(t *testing.T, record golden) (*Message, Raw) {
	t.Helper()
	m, err := DecodeMessage([]byte(record.Raw), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", record.Name, err)
	}
	body, err := m.Payload(Limits{})
	if err != nil {
		t.Fatalf("%s: %v", record.Name, err)
	}
	return m, body
}

// eachGolden runs a check on every record of a kind, of every version.
func eachGolden(t *testing.T, kind string, check func(t *testing.T, record golden)) {
	t.Helper()
	for _, version := range goldenVersions() {
		n := 0
		for _, record := range readGolden(t, version) {
			if record.Kind == kind && record.Expected["refused"] == nil && record.Expected["error"] == nil {
				n++
				check(t, record)
			}
		}
		if n == 0 {
			t.Errorf("Celery %s: no golden record of kind %s", version, kind)
		}
	}
}

func sameText(t *testing.T, record golden, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s of Celery %s:\n got %s\nwant %s", record.Name, record.Version, got, want)
	}
}

func TestEventsAreWrittenAsCeleryWritesThem(t *testing.T) {
	eachGolden(t, "event", func(t *testing.T, record golden) {
		m, body := payloadOf(t, record)
		events, err := DecodeEvents(body)
		if err != nil {
			t.Fatalf("%s: %v", record.Name, err)
		}
		ours := EventMessage(events, body[0] == '[', m.Properties.RoutingKey, m.Headers.Text("hostname"), m.Properties.DeliveryTag)
		payload, err := ours.Payload(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(string(body), `"utcoffset": 0,`, `"utcoffset": 0.0,`) // an integer before 5.3
		sameText(t, record, string(payload), want)
		ours.Body = m.Body
		sameText(t, record, string(ours.AppendJSON(nil)), record.Raw)
	})
}

func TestControlRequestsAreWrittenAsCeleryWritesThem(t *testing.T) {
	eachGolden(t, "control", func(t *testing.T, record golden) {
		request, err := DecodeControl([]byte(record.Raw), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", record.Name, err)
		}
		m, body := payloadOf(t, record)
		ours := request.Message(m.Properties.Exchange, m.Properties.DeliveryTag)
		payload, err := ours.Payload(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sameText(t, record, string(payload), string(body))
		sameText(t, record, string(ours.Headers.Raw()), string(m.Headers.Raw()))
	})
}

func TestControlRepliesAreWrittenAsCeleryWritesThem(t *testing.T) {
	eachGolden(t, "reply", func(t *testing.T, record golden) {
		reply, err := DecodeControlReply([]byte(record.Raw), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", record.Name, err)
		}
		m, _ := payloadOf(t, record)
		ours := reply.Message(m.Properties.Exchange, m.Properties.RoutingKey, m.Properties.DeliveryTag)
		sameText(t, record, string(ours.AppendJSON(nil)), record.Raw)
	})
}

func TestSignaturesAreWrittenAsCeleryWritesThem(t *testing.T) {
	seen := 0
	eachGolden(t, "task", func(t *testing.T, record golden) {
		if known(record.Version, record.Name) {
			return
		}
		task, err := ParseTask([]byte(record.Raw), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", record.Name, err)
		}
		signatures := append(append(append([]Raw{}, task.Callbacks...), task.Errbacks...), task.Chain...)
		if !task.Chord.IsNull() {
			signatures = append(signatures, task.Chord)
		}
		for _, raw := range signatures {
			signature, err := DecodeSignature(raw)
			if err != nil {
				t.Fatalf("%s: %v\n%s", record.Name, err, raw)
			}
			seen++
			got := byName(t, signature.Raw())
			if want := byName(t, raw); !reflect.DeepEqual(got, want) {
				sameText(t, record, string(signature.Raw()), string(raw))
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d signatures in the golden messages", seen)
	}
}

// byName gives an object's members without their order, which Celery 4.4 varies.
func byName(t *testing.T, raw Raw) map[string]string {
	t.Helper()
	members, err := raw.Members()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, member := range members {
		out[member.Name] = string(member.Value)
	}
	return out
}
