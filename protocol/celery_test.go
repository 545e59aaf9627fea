package protocol

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

// taskEnvelope is a message as Celery 5.7 makes it, with the given headers in place of its own ("-name": null leaves one out), and the body given as JSON.
func taskEnvelope(headers, body, properties string) string {
	m, err := DecodeMessage([]byte(commonMessage), Limits{})
	if err != nil {
		panic(err)
	}
	changes, err := Raw(headers).Members()
	if err != nil {
		panic(err)
	}
	for _, change := range changes {
		if name, ok := strings.CutPrefix(change.Name, "-"); ok {
			m.Headers = m.Headers.Delete(name)
		} else {
			m.Headers = m.Headers.Set(change.Name, change.Value)
		}
	}
	if body != "" {
		m.Body = []byte(base64.StdEncoding.EncodeToString([]byte(body)))
	}
	data := m.AppendJSON(nil)
	if properties != "" {
		data, err = setMember(data, "properties", Raw(properties))
		if err != nil {
			panic(err)
		}
	}
	return string(data)
}

// v1Envelope is a message of version 1 with the given body.
func v1Envelope(body string) string {
	m, err := DecodeMessage([]byte(v1Message), Limits{})
	if err != nil {
		panic(err)
	}
	m.Body = []byte(base64.StdEncoding.EncodeToString([]byte(body)))
	return string(m.AppendJSON(nil))
}

const (
	plainProperties = `{"body_encoding": "base64", "delivery_tag": "d", "delivery_info": {"exchange": "", "routing_key": "q", "redelivered": true}, "priority": 3, "correlation_id": "44d236b8-616c-4074-91d0-75dafcc64da0", "reply_to": "r"}`
	oneCallback     = `[{"task": "t.add", "args": [9], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}]`
)

// taskMessages are messages that Celery runs.
func taskMessages() map[string]string {
	return map[string]string{
		"common":                   commonMessage,
		"version 1":                v1Message,
		"utc eta":                  taskEnvelope(`{"eta": "2030-01-02T03:04:05.000006+00:00", "expires": "2030-02-02T03:04:05+02:00"}`, "", ""),
		"naive eta":                taskEnvelope(`{"eta": "2030-01-02T03:04:05.000006", "expires": "2030-02-02T03:04"}`, "", ""),
		"typed eta":                taskEnvelope(`{"eta": {"__type__": "datetime", "__value__": "2030-01-02T03:04:05"}}`, "", ""),
		"basic format":             taskEnvelope(`{"eta": "20300102T030405Z", "expires": "2030-W05-1"}`, "", ""),
		"limits":                   taskEnvelope(`{"timelimit": [30.5, 20]}`, "", ""),
		"soft limit only":          taskEnvelope(`{"timelimit": [null, 20]}`, "", ""),
		"limits null":              taskEnvelope(`{"timelimit": null}`, "", ""),
		"limits empty":             taskEnvelope(`{"timelimit": []}`, "", ""),
		"group index 0":            taskEnvelope(`{"group": "g", "group_index": 0}`, "", ""),
		"group without index":      taskEnvelope(`{"group": "g"}`, "", ""),
		"retries null":             taskEnvelope(`{"retries": null}`, "", ""),
		"retries":                  taskEnvelope(`{"retries": 12}`, "", ""),
		"ignore":                   taskEnvelope(`{"ignore_result": true}`, "", ""),
		"ignore not":               taskEnvelope(`{"ignore_result": false}`, "", ""),
		"ignore 1":                 taskEnvelope(`{"ignore_result": 1}`, "", ""),
		"ignore text":              taskEnvelope(`{"ignore_result": "no"}`, "", ""),
		"few headers":              taskEnvelope(`{"-lang": 0, "-shadow": 0, "-eta": 0, "-expires": 0, "-group": 0, "-group_index": 0, "-retries": 0, "-timelimit": 0, "-root_id": 0, "-parent_id": 0, "-argsrepr": 0, "-kwargsrepr": 0, "-origin": 0, "-ignore_result": 0, "-replaced_task_nesting": 0, "-stamped_headers": 0, "-stamps": 0}`, "", ""),
		"shadow":                   taskEnvelope(`{"shadow": "other"}`, "", ""),
		"odd ids":                  taskEnvelope(`{"id": "ä/\" \u2028", "root_id": "", "parent_id": "p"}`, "", ""),
		"number as id":             taskEnvelope(`{"id": 12345678901234567890}`, "", ""),
		"unknown headers":          taskEnvelope(`{"x-mine": {"a": [1, 1.0, 12345678901234567890]}, "periodic_task_name": "p"}`, "", ""),
		"stamps":                   taskEnvelope(`{"stamped_headers": ["s"], "stamps": {"s": ["x"]}}`, "", ""),
		"no kwargs":                taskEnvelope(`{}`, `[[1], null, {}]`, ""),
		"embed":                    taskEnvelope(`{"parent_id": "p"}`, `[[1], {"b": 2}, {"callbacks": `+oneCallback+`, "errbacks": `+oneCallback+`, "chain": `+oneCallback+`, "chord": {"task": "t.add"}}]`, ""),
		"embed null":               taskEnvelope(`{}`, `[[], {}, null]`, ""),
		"repeated kwargs":          taskEnvelope(`{}`, `[[], {"a": 1, "b": 2, "a": 3}, {}]`, ""),
		"spaces":                   taskEnvelope(`{}`, " [ [ 1 , 2 ] , { \"a\" : 1 } ,\n{ } ] ", ""),
		"redelivered":              taskEnvelope(`{"redelivered": true}`, "", plainProperties),
		"escaped header":           strings.Replace(commonMessage, `"retries": 0`, `"r\u0065tries": 4`, 1),
		"hybrid":                   taskEnvelope(`{"retries": 3, "-root_id": 0}`, `{"args": [1], "kwargs": {"a": 2}, "retries": 1, "root_id": "r", "callbacks": `+oneCallback+`}`, ""),
		"hybrid, null wins":        taskEnvelope(`{"expires": null}`, `{"args": [1], "expires": "2030-01-01T00:00:00"}`, ""),
		"version 1, taskset alone": v1Envelope(`{"task": "t.add", "id": "i", "args": [1], "kwargs": {}, "taskset": "g"}`),
		"version 1, taskset null":  v1Envelope(`{"task": "t.add", "id": "i", "taskset": null, "group": "g"}`),
		"version 1, small":         v1Envelope(`{"task": "t.add", "id": "i"}`),
		"version 1, utc":           v1Envelope(`{"task": "t.add", "id": "i", "utc": true, "eta": "2030-01-01T00:00:00", "retries": 2, "timelimit": [3, null]}`),
		"version 1, modern":        v1Envelope(`{"task": "t.add", "id": "i", "root_id": "r", "parent_id": "p", "group_index": 2, "shadow": "s", "ignore_result": true}`),
		"base64 with line breaks":  strings.Replace(commonMessage, `"body": "W1sx`, `"body": "W1\n sx`, 1),
		"base64 with a tail":       strings.Replace(commonMessage, `"W1sx`, `"W1sxXSwge30sIHt9XQ==W1sx`, 1),
	}
}

// requestOf is what the oracle's operation request tells of a message.
func requestOf(t *Task) map[string]any {
	micro := func(at Time) any {
		if at.IsZero() {
			return nil
		}
		return at.UnixMicro()
	}
	orNil := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	var index any
	if t.HasGroupIndex {
		index = t.GroupIndex
	}
	shown := t.Name
	if t.Shadow != "" {
		shown = t.Shadow
	}
	chord := t.Chord
	if len(chord) == 0 {
		chord = Null()
	}
	return map[string]any{
		"id": t.ID, "root": orNil(t.RootID), "parent": orNil(t.ParentID), "name": t.Name, "shown": shown, "group": orNil(t.GroupID),
		"group_index": index, "retries": t.Retries, "eta": micro(t.ETA), "expires": micro(t.Expires),
		"hard": t.HardTimeLimit.Seconds(), "soft": t.SoftTimeLimit.Seconds(), "ignore": t.IgnoreResult != nil && *t.IgnoreResult,
		"args": Array(t.Args), "kwargs": t.Kwargs.Raw(), "redelivered": t.Redelivered,
		"embed": []Raw{arrayOrNull(t.Callbacks), arrayOrNull(t.Errbacks), arrayOrNull(t.Chain), chord},
	}
}

// sameNumbers makes JSON comparable: numbers keep their digits, 30.0 is 30.
func sameNumbers(t *testing.T, data []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(strings.ReplaceAll(string(data), ".0,", ",")))
	decoder.UseNumber()
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return value
}

// TestCelerysWorkerReadsMessagesAlike asks Celery's Request about each message.
func TestCelerysWorkerReadsMessagesAlike(t *testing.T) {
	python := startPython(t, testenv.Celery57)
	for name, envelope := range taskMessages() {
		t.Run(name, func(t *testing.T) {
			answer := ask(python, "request", []string{envelope})[0]
			task, err := ParseTask([]byte(envelope), Limits{})
			if err != nil || answer.Error != "" {
				t.Fatalf("we: %v, Celery: %s\n%s", err, answer.Error, envelope)
			}
			ours, err := json.Marshal(requestOf(task))
			if err != nil {
				t.Fatal(err)
			}
			got, want := sameNumbers(t, ours), sameNumbers(t, []byte(answer.OK))
			for key := range want {
				if key == "root" && (want[key] == nil || want[key] == "") {
					continue // Celery fills it in when the task starts
				}
				if !reflect.DeepEqual(got[key], want[key]) {
					t.Errorf("%s: %v, Celery says %v\n%s", key, got[key], want[key], envelope)
				}
			}
		})
	}
}

// TestCeleryRefusesWhatWeRefuse: each of these messages ends in an exception in Celery's worker, and in a *DecodeError here that still knows whose it is.
func TestCeleryRefusesWhatWeRefuse(t *testing.T) {
	messages := map[string]string{
		"eta is a number":       taskEnvelope(`{"eta": 1795492140}`, "", ""),
		"eta is empty":          taskEnvelope(`{"eta": ""}`, "", ""),
		"expires is 0":          taskEnvelope(`{"expires": 0}`, "", ""),
		"eta is no time":        taskEnvelope(`{"eta": "tomorrow"}`, "", ""),
		"expires is a list":     taskEnvelope(`{"expires": [1]}`, "", ""),
		"one limit":             taskEnvelope(`{"timelimit": [1]}`, "", ""),
		"body is a number":      taskEnvelope(`{}`, `1`, ""),
		"body has four parts":   taskEnvelope(`{}`, `[[], {}, {}, {}]`, ""),
		"body has one part":     taskEnvelope(`{}`, `[[]]`, ""),
		"body has two parts":    taskEnvelope(`{}`, `[[], {}]`, ""),
		"body is an object":     taskEnvelope(`{}`, `{"kwargs": {}}`, ""),
		"body is cut off":       taskEnvelope(`{}`, `[[], {}, {}`, ""),
		"body has a tail":       taskEnvelope(`{}`, `[[], {}, {}] x`, ""),
		"base64 without end":    strings.Replace(commonMessage, `"body": "W`, `"body": "`, 1),
		"compression unknown":   taskEnvelope(`{"compression": "application/x-none"}`, "", ""),
		"not compressed at all": taskEnvelope(`{"compression": "application/x-gzip"}`, "", ""),
	}
	python := startPython(t, testenv.Celery57)
	for name, envelope := range messages {
		t.Run(name, func(t *testing.T) {
			answer := ask(python, "request", []string{envelope})[0]
			task, err := ParseTask([]byte(envelope), Limits{})
			if err == nil || answer.Error == "" {
				t.Fatalf("we: %v, Celery: %s%s\n%s", err, answer.OK, answer.Error, envelope)
			}
			if task.ID != "44d236b8-616c-4074-91d0-75dafcc64da0" || task.Name != "t.add" || task.ReplyTo == "" {
				t.Errorf("%q %q %q were read from\n%s", task.ID, task.Name, task.ReplyTo, envelope)
			}
		})
	}
}

// TestRetriesAreCelerys compares the next attempt's message with what Task.retry publishes.
func TestRetriesAreCelerys(t *testing.T) {
	python := startPython(t, testenv.Celery57)
	no := false
	messages := taskMessages()
	delete(messages, "retries null") // Task.retry fails on it: it adds 1 to None
	for name, envelope := range messages {
		t.Run(name, func(t *testing.T) {
			answer := ask(python, "retry", []string{envelope})[0]
			if answer.Error != "" {
				t.Fatalf("Celery: %s", answer.Error)
			}
			theirs, err := DecodeMessage([]byte(answer.OK), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			eta, err := ParseTime(theirs.Headers.Text("eta"))
			if err != nil {
				t.Fatal(err)
			}
			task, err := ParseTask([]byte(envelope), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if parent, _ := theirs.Headers.Get("parent_id"); parent.IsNull() { // outside of a worker Celery does not know that the task itself is the parent
				theirs.Headers = theirs.Headers.Set("parent_id", Quote(task.ID))
			}
			options := RetryOptions{Retries: task.Retries + 1, ETA: eta.Time, DeliveryTag: theirs.Properties.DeliveryTag}
			if task.IgnoreResult == nil {
				options.IgnoreResult = &no
			}
			data, err := task.RetryMessage(options)
			if err != nil {
				t.Fatal(err)
			}
			compareRetries(t, data, theirs)
		})
	}
}

func compareRetries(t *testing.T, data []byte, theirs *Message) {
	t.Helper()
	ours, err := DecodeMessage(data, Limits{})
	if err != nil {
		t.Fatalf("%v in our own\n%s", err, data)
	}
	if fmt.Sprint(ours.Properties.RoutingKey, ours.Properties.Priority, ours.Properties.ReplyTo, ours.Properties.CorrelationID) !=
		fmt.Sprint(theirs.Properties.RoutingKey, theirs.Properties.Priority, theirs.Properties.ReplyTo, theirs.Properties.CorrelationID) {
		t.Errorf("properties %+v, Celery's %+v", ours.Properties, theirs.Properties)
	}
	for _, header := range theirs.Headers {
		value, _ := ours.Headers.Get(header.Name)
		switch text, _ := header.Value.Text(); {
		case header.Name == "redelivered", header.Name == "origin", header.Name == "lang", strings.HasSuffix(header.Name, "repr"):
		case said(value) && said(header.Value) && (text != looseText(value) && string(value) != string(header.Value)), said(value) != said(header.Value):
			t.Errorf("header %s: %s, Celery's %s", header.Name, value, header.Value)
		}
	}
	for _, header := range ours.Headers {
		if _, ok := theirs.Headers.Get(header.Name); !ok && said(header.Value) {
			t.Errorf("header %s: %s, which Celery does not send", header.Name, header.Value)
		}
	}
	mine, err := ParseTask(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseTask(theirs.AppendJSON(nil), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	other.Redelivered = mine.Redelivered // a new message is not marked here; Celery keeps the header
	if got, want := fmt.Sprintf("%s", requestOf(mine)), fmt.Sprintf("%s", requestOf(other)); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("the retry means\n%s, Celery's\n%s", got, want)
	}
}

// said tells that a header has something to say: [null, null] and {} are as good as absent.
func said(value Raw) bool { return truthy(value) && string(value) != "[null, null]" }

// TestKnownHeadersMeanNothingInVersion1: there the body alone says what the task is.
func TestKnownHeadersMeanNothingInVersion1(t *testing.T) {
	data, err := SetHeader([]byte(v1Message), "id", Quote("not this"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = SetHeader(data, "retries", Raw("7")); err != nil {
		t.Fatal(err)
	}
	task, err := ParseTask(data, Limits{})
	if err != nil || task.ID != "7a" || task.Retries != 1 || task.UTC {
		t.Fatalf("%v: id %s, retries %d, utc %t from\n%s", err, task.ID, task.Retries, task.UTC, data)
	}
	again, err := task.RetryMessage(RetryOptions{Retries: 2})
	if err != nil {
		t.Fatal(err)
	}
	if task, err = ParseTask(again, Limits{}); err != nil || task.ID != "7a" || task.Retries != 2 {
		t.Fatalf("%v: id %s, retries %d from\n%s", err, task.ID, task.Retries, again)
	}
}

// TestMarksAreKombus compares the text after a restore with kombu's.
func TestMarksAreKombus(t *testing.T) {
	python := startPython(t, testenv.Celery57)
	for name, envelope := range taskMessages() {
		answer := ask(python, "marked", []string{envelope})[0]
		marked, err := MarkRedelivered([]byte(envelope), 0)
		if err != nil || answer.Error != "" {
			t.Fatalf("%s: we: %v, kombu: %s", name, err, answer.Error)
		}
		if !reflect.DeepEqual(sameNumbers(t, marked), sameNumbers(t, []byte(answer.OK))) {
			t.Errorf("%s: marked\n%s, kombu\n%s", name, marked, answer.OK)
		}
	}
}
