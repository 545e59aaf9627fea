package protocol_test

import (
	"fmt"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

func ExampleParseTask() {
	message := []byte(`{"body": "W1syLCAzXSwge30sIG51bGxd", "content-encoding": "utf-8", "content-type": "application/json",
		"headers": {"task": "tasks.add", "id": "an-id", "x-mine": 1}, "properties": {"body_encoding": "base64"}}`)
	task, err := protocol.ParseTask(message, protocol.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(task.Name, task.ID, len(task.Args), string(task.Args[1]))
	mine, _ := task.Headers().Get("x-mine")
	fmt.Println(string(mine))
	// Output:
	// tasks.add an-id 2 3
	// 1
}

func ExampleTaskMessage() {
	task := protocol.TaskMessage{ID: "an-id", Name: "tasks.add", Args: []protocol.Raw{protocol.Raw("2"), protocol.Raw("3")}, RoutingKey: "celery", DeliveryTag: "a-tag"}
	message, err := task.Message()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(message.Headers.Text("argsrepr"), message.ContentType)
	// Output: (2, 3) application/json
}

func ExampleTask_RetryMessage() {
	message := []byte(`{"body": "W1syLCAzXSwge30sIG51bGxd", "content-encoding": "utf-8", "content-type": "application/json",
		"headers": {"task": "tasks.add", "id": "an-id", "retries": 0, "x-mine": 1}, "properties": {"body_encoding": "base64", "delivery_tag": "first"}}`)
	task, err := protocol.ParseTask(message, protocol.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := task.RetryMessage(protocol.RetryOptions{Retries: task.Retries + 1, ETA: time.Unix(1893456000, 0), DeliveryTag: "second"})
	if err != nil {
		fmt.Println(err)
		return
	}
	next, _ := protocol.DecodeMessage(again, protocol.Limits{})
	fmt.Println(string(next.Headers.Raw()))
	// Output: {"task": "tasks.add", "id": "an-id", "retries": 1, "x-mine": 1, "eta": "2030-01-01T00:00:00+00:00", "root_id": "an-id", "parent_id": "an-id"}
}

func ExampleControlRequest() {
	request := protocol.ControlRequest{Method: "ping", Pattern: "heavy*", Matcher: "glob"}
	mine, err := request.For("heavy1@host")
	fmt.Println(mine, err)
	// Output: true <nil>
}

func ExampleResult() {
	result := protocol.Result{Status: protocol.Failure, TaskID: "an-id", Result: protocol.Exception{Type: "ValueError", Module: "builtins", Args: []protocol.Raw{protocol.Quote("too small")}}.Raw()}
	fmt.Println(string(result.AppendJSON(nil)))
	// Output: {"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["too small"], "exc_module": "builtins"}, "traceback": null, "children": [], "date_done": null, "task_id": "an-id"}
}

func ExampleSignature() {
	next, err := protocol.DecodeSignature(protocol.Raw(`{"task": "tasks.double", "args": [10], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(next.Task, string(protocol.Array(next.WithResult(protocol.Raw("5")))))
	// Output: tasks.double [5, 10]
}
