package decode

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/buger/jsonparser"
	goccy "github.com/goccy/go-json"
	"github.com/tidwall/gjson"

	"github.com/lovage-go/lovage/protocol"
)

// message is what Celery 5.7.0 sends for send_task("t.add", (1, 2, 3)).
const message = `{"body": "W1sxLCAyLCAzXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "t.add", "id": "44d236b8-616c-4074-91d0-75dafcc64da0", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": "44d236b8-616c-4074-91d0-75dafcc64da0", "parent_id": null, "argsrepr": "(1, 2, 3)", "kwargsrepr": "{}", "origin": "gen6485@vm", "ignore_result": null, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, "properties": {"correlation_id": "44d236b8-616c-4074-91d0-75dafcc64da0", "reply_to": "8973b97e-b24b-3e5e-bcaf-b86265cf5e94", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 5, "body_encoding": "base64", "delivery_tag": "0ddb9457-326d-4bce-b4cd-4bbdb877f8e4"}}`

const id = "44d236b8-616c-4074-91d0-75dafcc64da0"

var errWrong = errors.New("wrongly decoded")

// task is the least a worker needs of the message. The peers do not keep unknown headers, read no times and check less; ParseTask does all of that.
type task struct {
	name, id, root, correlation, replyTo, routingKey string
	retries, priority                                int
	args                                             [][]byte
}

func (t *task) check() error {
	if t.name != "t.add" || t.id != id || t.root != id || t.correlation != id || t.replyTo == "" || t.routingKey != "celery" ||
		t.retries != 0 || t.priority != 5 || len(t.args) != 3 || string(t.args[2]) != "3" {
		return errWrong
	}
	return nil
}

func benchmark(b *testing.B, decode func(data []byte) error) {
	b.Helper()
	data := []byte(message)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseTask(b *testing.B) {
	benchmark(b, func(data []byte) error {
		t, err := protocol.ParseTask(data, protocol.Limits{})
		if err != nil || t.ID != id || len(t.Args) != 3 || t.Priority != 5 {
			return errWrong
		}
		return nil
	})
}

// envelope is the message for the libraries that fill structs.
type envelope struct {
	Body    string `json:"body"`
	Headers struct {
		Task    string     `json:"task"`
		ID      string     `json:"id"`
		Root    string     `json:"root_id"`
		Retries int        `json:"retries"`
		ETA     *string    `json:"eta"`
		Limits  []*float64 `json:"timelimit"`
	} `json:"headers"`
	Properties struct {
		CorrelationID string `json:"correlation_id"`
		ReplyTo       string `json:"reply_to"`
		Priority      int    `json:"priority"`
		DeliveryInfo  struct {
			RoutingKey string `json:"routing_key"`
		} `json:"delivery_info"`
	} `json:"properties"`
}

func structs(data []byte, unmarshal func([]byte, any) error) error {
	var e envelope
	if err := unmarshal(data, &e); err != nil {
		return err
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return err
	}
	var parts [3]json.RawMessage
	if err := unmarshal(body, &parts); err != nil {
		return err
	}
	var args []json.RawMessage
	if err := unmarshal(parts[0], &args); err != nil {
		return err
	}
	t := task{e.Headers.Task, e.Headers.ID, e.Headers.Root, e.Properties.CorrelationID, e.Properties.ReplyTo, e.Properties.DeliveryInfo.RoutingKey,
		e.Headers.Retries, e.Properties.Priority, nil}
	for _, arg := range args {
		t.args = append(t.args, arg)
	}
	return t.check()
}

func BenchmarkEncodingJSON(b *testing.B) {
	benchmark(b, func(data []byte) error { return structs(data, json.Unmarshal) })
}

func BenchmarkGoccyJSON(b *testing.B) {
	benchmark(b, func(data []byte) error { return structs(data, goccy.Unmarshal) })
}

func BenchmarkGJSON(b *testing.B) {
	paths := []string{"body", "headers.task", "headers.id", "headers.root_id", "headers.retries", "properties.correlation_id", "properties.reply_to",
		"properties.priority", "properties.delivery_info.routing_key"}
	benchmark(b, func(data []byte) error {
		if !gjson.ValidBytes(data) {
			return errWrong
		}
		v := gjson.GetManyBytes(data, paths...)
		body, err := base64.StdEncoding.DecodeString(v[0].Str)
		if err != nil {
			return err
		}
		if !gjson.ValidBytes(body) {
			return errWrong
		}
		t := task{v[1].Str, v[2].Str, v[3].Str, v[5].Str, v[6].Str, v[8].Str, int(v[4].Int()), int(v[7].Int()), nil}
		for _, arg := range gjson.GetBytes(body, "0").Array() {
			t.args = append(t.args, []byte(arg.Raw))
		}
		return t.check()
	})
}

func BenchmarkJSONParser(b *testing.B) {
	paths := [][]string{{"body"}, {"headers", "task"}, {"headers", "id"}, {"headers", "root_id"}, {"headers", "retries"}, {"properties", "correlation_id"},
		{"properties", "reply_to"}, {"properties", "priority"}, {"properties", "delivery_info", "routing_key"}}
	benchmark(b, func(data []byte) error {
		var values [9][]byte
		jsonparser.EachKey(data, func(i int, value []byte, _ jsonparser.ValueType, _ error) { values[i] = value }, paths...)
		body := make([]byte, base64.StdEncoding.DecodedLen(len(values[0])))
		n, err := base64.StdEncoding.Decode(body, values[0])
		if err != nil {
			return err
		}
		retries, _ := jsonparser.ParseInt(values[4])
		priority, _ := jsonparser.ParseInt(values[7])
		t := task{string(values[1]), string(values[2]), string(values[3]), string(values[5]), string(values[6]), string(values[8]), int(retries), int(priority), nil}
		if _, err := jsonparser.ArrayEach(body[:n], func(value []byte, _ jsonparser.ValueType, _ int, _ error) { t.args = append(t.args, value) }, "[0]"); err != nil {
			return err
		}
		return t.check()
	})
}
