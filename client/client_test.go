package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ExampleNew() {
	c, err := client.New(client.Config{BrokerURL: "amqp://localhost"})
	fmt.Println(c, err)
	// Output: <nil> make client: bad broker URL: scheme "amqp" is none of redis, rediss, redis+socket, sentinel
}

// TestAPythonWorkerRunsWhatTheClientSends sends to a real Celery worker with every serializer, compression and option.
func TestAPythonWorkerRunsWhatTheClientSends(t *testing.T) {
	server := testenv.Redis(t)
	python := testenv.Python(t, testenv.Celery57)
	folder := testenv.Root(t) + "/e2e/testdata"
	python.CeleryWorker(folder, []string{"BROKER=" + server.URL()}, "py", "-Q", "py")
	c, err := client.New(client.Config{BrokerURL: server.URL(), Queue: "py"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for name, task := range map[string]client.Task{
		"plain": {}, "msgpack": {Serializer: "msgpack"}, "yaml": {Serializer: "yaml"}, "zlib": {Compression: "zlib"}, "bzip2": {Compression: "bzip2"},
		"brotli": {Compression: "brotli"}, "zstd": {Compression: "zstd"}, "lzma": {Compression: "lzma"}, "priority": {Priority: 9},
		"countdown": {Countdown: 100 * time.Millisecond}, "expires": {Expires: time.Minute}, "id": {ID: "an id of ours"}, "headers": {Headers: map[string]any{"x-a": 1}},
		"limits": {TimeLimit: time.Minute, SoftTimeLimit: 1500 * time.Millisecond},
	} {
		task.Name, task.Args = "e2e.echo", []any{map[string]any{"text": "ü 🌧", "n": 1 << 60, "f": 1.0, "list": []int{1, 2}, "none": nil}}
		result, err := c.Send(ctx, task)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var raw protocol.Raw
		if err := result.Get(ctx, &raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := protocol.Repr(raw, 0); got != "{'f': 1.0, 'list': [1, 2], 'n': 1152921504606846976, 'none': None, 'text': 'ü 🌧'}" {
			t.Errorf("%s: the result is %s", name, got)
		}
	}
	result, err := c.Send(ctx, client.Task{Name: "e2e.fail", Args: []any{"KeyError", "a", 1}})
	if err != nil {
		t.Fatal(err)
	}
	var failure *client.TaskError
	if err := result.Get(ctx, nil); !errors.As(err, &failure) || failure.Exception.Type != "KeyError" || !strings.HasSuffix(err.Error(), "FAILURE: KeyError('a', 1)") || !strings.Contains(failure.Traceback, "app.py") {
		t.Errorf("the failure is %v", err)
	}
}

func TestGetEndsWithItsContext(t *testing.T) {
	server := testenv.Redis(t)
	c, err := client.New(client.Config{BrokerURL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := c.Result("nobody").Get(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get returned %v", err)
	}
}

func TestBadCallsSendNothing(t *testing.T) {
	server := testenv.Redis(t)
	c, err := client.New(client.Config{BrokerURL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, task := range map[string]client.Task{
		"no name": {}, "a channel": {Name: "x", Args: []any{make(chan int)}}, "pickle": {Name: "x", Serializer: "pickle"}, "unknown compression": {Name: "x", Compression: "zip"},
	} {
		if _, err := c.Send(context.Background(), task); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
	if keys := server.Strings("KEYS", "*"); len(keys) != 0 {
		t.Errorf("keys: %v", keys)
	}
}
