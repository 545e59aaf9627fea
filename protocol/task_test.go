package protocol

import (
	"encoding/base64"
	"encoding/json"
	"testing"
)

// commonMessage is a message as Celery 5.7 sends it for send_task("t.add", (1, 2, 3)).
const commonMessage = `{"body": "W1sxLCAyLCAzXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "t.add", "id": "44d236b8-616c-4074-91d0-75dafcc64da0", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "44d236b8-616c-4074-91d0-75dafcc64da0", "parent_id": null, "argsrepr": "(1, 2, 3)", "kwargsrepr": "{}", "origin": "gen6485@vm", "ignore_result": null, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, "properties": {"correlation_id": "44d236b8-616c-4074-91d0-75dafcc64da0", "reply_to": "8973b97e-b24b-3e5e-bcaf-b86265cf5e94", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 5, "body_encoding": "base64", "delivery_tag": "0ddb9457-326d-4bce-b4cd-4bbdb877f8e4"}}`

func BenchmarkParseTask(b *testing.B) {
	data := []byte(commonMessage)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := ParseTask(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseTaskEncodingJSON is the same work by encoding/json, for comparison.
func BenchmarkParseTaskEncodingJSON(b *testing.B) {
	data := []byte(commonMessage)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var envelope struct {
			Body       string
			Headers    map[string]json.RawMessage
			Properties map[string]json.RawMessage
		}
		if err := json.Unmarshal(data, &envelope); err != nil {
			b.Fatal(err)
		}
		body, err := base64.StdEncoding.DecodeString(envelope.Body)
		if err != nil {
			b.Fatal(err)
		}
		var parts [3]json.RawMessage
		var args []json.RawMessage
		if json.Unmarshal(body, &parts) != nil || json.Unmarshal(parts[0], &args) != nil {
			b.Fatal("body")
		}
	}
}

func TestParseTaskReadsACommonMessage(t *testing.T) {
	task, err := ParseTask([]byte(commonMessage), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if task.Name != "t.add" || task.ID != "44d236b8-616c-4074-91d0-75dafcc64da0" || task.RootID != task.ID || len(task.Args) != 3 ||
		string(task.Args[2]) != "3" || task.Priority != 5 || task.RoutingKey != "celery" || task.IgnoreResult != nil || task.HasGroupIndex {
		t.Errorf("read %+v from\n%s", task, commonMessage)
	}
}
