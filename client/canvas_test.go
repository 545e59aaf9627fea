package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
)

// startCelery starts a Python worker on the queue "py" with the tasks of e2e/testdata/app.py, and a client of it.
func startCelery(t *testing.T) (*testenv.RedisServer, *client.Client) {
	t.Helper()
	server := testenv.Redis(t)
	testenv.Python(t, testenv.Celery57).CeleryWorker(testenv.Root(t)+"/e2e/testdata", []string{"BROKER=" + server.URL()}, "py", "-Q", "py,celery")
	return server, newClient(t, client.Config{BrokerURL: server.URL(), Queue: "py"})
}

func newClient(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func minute(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func add(args ...any) client.Signature {
	return client.S(client.Task{Name: "e2e.add", Args: args, Queue: "py"})
}

func collect(args ...any) client.Signature {
	return client.S(client.Task{Name: "e2e.collect", Args: args, Queue: "py"})
}

func ExampleChain() {
	mean := client.Chain(
		client.Group(client.S(client.Task{Name: "stats.sum", Args: []any{"a"}}), client.S(client.Task{Name: "stats.sum", Args: []any{"b"}})),
		client.S(client.Task{Name: "stats.mean"}),
	)
	raw, err := mean.Raw()
	signature, _ := protocol.DecodeSignature(raw)
	fmt.Println(signature.SubtaskType, err) // a group with something behind it is a chord
	// Output: chord <nil>
}

func TestPythonRunsCanvasesBuiltInGo(t *testing.T) {
	_, c := startCelery(t)
	ctx := minute(t)
	for name, row := range map[string]struct {
		canvas client.Signature
		want   string
	}{
		"chain":                {client.Chain(add(1, 2), add(3), add(4)), "10"},
		"group":                {client.Group(add(1, 1), add(2, 2)), "[2, 4]"},
		"chord":                {client.Chord([]client.Signature{add(1, 1), add(2, 2)}, collect()), "[[[2, 4]], {}]"},
		"empty chord":          {client.Chord(nil, collect()), "[[[]], {}]"},
		"chain with a chord":   {client.Chain(add(1, 1), client.Group(add(1), add(2)), collect()), "[[[3, 4]], {}]"},
		"chunks":               {client.Chunks(client.Task{Name: "e2e.add"}, [][]any{{1, 1}, {2, 2}, {3, 3}}, 2), "[[2, 4], [6]]"},
		"starmap":              {client.Starmap(client.Task{Name: "e2e.add"}, [][]any{{1, 1}, {2, 2}}), "[2, 4]"},
		"map":                  {client.Map(client.Task{Name: "e2e.size"}, []any{"a", "bc"}), "[1, 2]"},
		"a chain ends in many": {client.Chain(add(1, 1), client.Group(add(1), add(2))), "[3, 4]"},
	} {
		promise, err := c.Apply(ctx, row.canvas)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var raw protocol.Raw
		if err := promise.Get(ctx, &raw); err != nil || string(raw) != row.want {
			t.Errorf("%s gives %s, %v; want %s", name, raw, err, row.want)
		}
	}
}

func TestPromises(t *testing.T) {
	server, c := startCelery(t)
	ctx := minute(t)
	promise, err := c.Apply(ctx, add(1, 2).Link(add(10), collect()))
	if err != nil {
		t.Fatal(err)
	}
	result := promise.(*client.AsyncResult)
	if err := result.Get(ctx, nil); err != nil {
		t.Fatal(err)
	}
	state, err := result.State(ctx)
	if ready, readyErr := result.Ready(ctx); state != protocol.Success || !ready || err != nil || readyErr != nil {
		t.Errorf("state %s, %v, %v, %v", state, ready, err, readyErr)
	}
	children, err := result.Children(ctx)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %v, %v", children, err)
	}
	var values []protocol.Raw
	if err := children[0].Get(ctx, &values); err != nil || len(values) != 2 || string(values[0]) != "13" {
		t.Errorf("the callbacks gave %s, %v", values, err)
	}
	if err := result.Forget(ctx); err != nil {
		t.Error(err)
	}
	if state, _ := result.State(ctx); state != protocol.Pending {
		t.Errorf("a forgotten result is %s", state)
	}

	promise, err = c.Apply(ctx, client.Group(add(1, 1), client.S(client.Task{Name: "e2e.fail", Args: []any{"KeyError"}, Queue: "py"})))
	if err != nil {
		t.Fatal(err)
	}
	group := promise.(*client.GroupResult)
	var failure *client.TaskError
	if err := group.Get(ctx, nil); !errors.As(err, &failure) || failure.Exception.Type != "KeyError" {
		t.Errorf("the group's error is %v", err)
	}
	if n, err := group.CompletedCount(ctx); n != 1 || err != nil {
		t.Errorf("%d completed, %v", n, err)
	}
	if err := group.Save(ctx); err != nil {
		t.Fatal(err)
	}
	restored, err := c.Restore(ctx, group.ID)
	if err != nil || len(restored.Results) != 2 {
		t.Errorf("restored %+v, %v", restored, err)
	}
	python := testenv.Python(t, testenv.Celery57)
	out := python.Run(testenv.Root(t)+"/e2e/testdata", []string{"BROKER=" + server.URL()}, "", "-c",
		"from app import app\nfrom celery.result import GroupResult\ng = GroupResult.restore('"+group.ID+"', app=app)\nprint(g.completed_count(), g.failed(), len(g))")
	if strings.TrimSpace(out) != "1 True 2" {
		t.Errorf("Python restores %q", out)
	}
	if err := group.Forget(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Restore(ctx, group.ID); !errors.Is(err, client.ErrUnknownGroup) {
		t.Errorf("restore after forget: %v", err)
	}
}

// TestRevokedTasksDoNotRun revokes tasks that wait for their time in a Python worker.
func TestRevokedTasksDoNotRun(t *testing.T) {
	_, c := startCelery(t)
	ctx := minute(t)
	promise, err := c.Apply(ctx, client.Group(
		client.S(client.Task{Name: "e2e.only", Queue: "py", Countdown: 2 * time.Second}), client.S(client.Task{Name: "e2e.only", Queue: "py", Countdown: 2 * time.Second})))
	if err != nil {
		t.Fatal(err)
	}
	if err := promise.Revoke(ctx, client.RevokeOptions{}); err != nil {
		t.Fatal(err)
	}
	var failure *client.TaskError
	if err := promise.Get(ctx, nil); !errors.As(err, &failure) || failure.State != protocol.Revoked {
		t.Errorf("the revoked group gives %v", err)
	}
}

// TestOneConnectionHearsAllResults waits for many results at once, and loses that connection in between.
func TestOneConnectionHearsAllResults(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, client.Config{BrokerURL: server.URL()})
	ctx := minute(t)
	var waiting sync.WaitGroup
	for n := range 200 {
		waiting.Go(func() {
			var got int
			if err := c.Result(fmt.Sprint("r", n/2)).Get(ctx, &got); err != nil || got != n/2 {
				t.Errorf("result %d is %d, %v", n/2, got, err)
			}
		})
	}
	listening := func() bool {
		return server.Int("PUBSUB", "NUMPAT") == 0 && len(server.Strings("PUBSUB", "CHANNELS")) == 100
	}
	testenv.Eventually(t, 20*time.Second, "all are waited for", listening)
	if n := subscribers(server); n != 1 {
		t.Errorf("%d connections listen", n)
	}
	publish(server, 0, 50)
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	publish(server, 50, 100)
	waiting.Wait()
}

func subscribers(server *testenv.RedisServer) int {
	return strings.Count(fmt.Sprintf("%s", server.Do("CLIENT", "LIST", "TYPE", "pubsub")), " addr=")
}

func publish(server *testenv.RedisServer, from, to int) {
	for n := from; n < to; n++ {
		document := (&protocol.Result{Status: protocol.Success, Result: protocol.Raw(fmt.Sprint(n)), TaskID: fmt.Sprint("r", n), DateDone: time.Now()}).AppendJSON(nil)
		server.Do("SET", fmt.Sprint("celery-task-meta-r", n), document)
		server.Do("PUBLISH", fmt.Sprint("celery-task-meta-r", n), document)
	}
}

func TestCloseEndsTheWait(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, client.Config{BrokerURL: server.URL()})
	failed := make(chan error)
	go func() { failed <- c.Result("nobody").Get(context.Background(), nil) }()
	testenv.Eventually(t, 20*time.Second, "it is waited for", func() bool { return subscribers(server) == 1 })
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, client.ErrClosed) {
		t.Errorf("Get returned %v", err)
	}
}

func TestABatchIsSentWholeOrNotAtAll(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, client.Config{BrokerURL: server.URL()})
	var many []client.Signature
	for n := range 3000 {
		many = append(many, client.S(client.Task{Name: "x", Args: []any{n}, Queue: fmt.Sprint("q", n%3)}))
	}
	promises, err := c.ApplyAll(minute(t), many...)
	if err != nil || len(promises) != len(many) {
		t.Fatal(err)
	}
	for n := range 3 {
		if got := server.Int("LLEN", fmt.Sprint("q", n)); got != 1000 {
			t.Errorf("queue %d holds %d", n, got)
		}
	}
	if _, err := c.ApplyAll(minute(t), many[0], client.S(client.Task{Name: "bad", Args: []any{make(chan int)}})); err == nil {
		t.Error("a batch with a bad task was sent")
	}
	if got := server.Int("LLEN", "q0"); got != 1000 {
		t.Errorf("a part of the bad batch was sent: %d", got)
	}
}

func TestASendIsTriedAgain(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, client.Config{BrokerURL: server.URL(), PublishRetry: client.PublishRetry{MaxRetries: -1, IntervalMax: 10 * time.Millisecond}})
	once := newClient(t, client.Config{BrokerURL: server.URL(), PublishRetry: client.PublishRetry{Disabled: true}})
	server.Do("CONFIG", "SET", "maxmemory", "1") // a full Redis refuses to write
	if _, err := once.Send(minute(t), client.Task{Name: "x"}); err == nil {
		t.Error("a send to a full broker succeeded")
	}
	sent := make(chan error)
	go func() {
		_, err := c.Send(minute(t), client.Task{Name: "x"})
		sent <- err
	}()
	testenv.Eventually(t, 20*time.Second, "the send has been refused some times", func() bool {
		return refused(server) > 5
	})
	server.Do("CONFIG", "SET", "maxmemory", "0")
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if n := server.Int("LLEN", "celery"); n != 1 {
		t.Errorf("the queue holds %d", n)
	}
}

// refused is how often the server has said that it is full.
func refused(server *testenv.RedisServer) int {
	_, rest, _ := strings.Cut(fmt.Sprintf("%s", server.Do("INFO", "errorstats")), "errorstat_OOM:count=")
	var n int
	_, _ = fmt.Sscan(strings.TrimSpace(strings.SplitN(rest+"\n", "\n", 2)[0]), &n)
	return n
}

func TestSignaturesThatCannotBeSent(t *testing.T) {
	server := testenv.Redis(t)
	c := newClient(t, client.Config{BrokerURL: server.URL()})
	bad, empty := client.S(client.Task{}), client.Signature{}
	for name, s := range map[string]client.Signature{
		"empty": empty, "no name": bad, "chain": client.Chain(add(1, 2), bad), "group": client.Group(empty), "header": client.Chord([]client.Signature{bad}, add()),
		"no body": client.Chord([]client.Signature{add(1, 2)}, empty), "callback": add(1, 2).Link(bad), "errback": add(1, 2).LinkError(empty), "stamp": add(1, 2).Stamp(map[string]any{"a": make(chan int)}),
		"chunks": client.Chunks(client.Task{Name: "x"}, nil, 0), "argument": client.S(client.Task{Name: "x", Args: []any{make(chan int)}}),
	} {
		if _, err := c.Apply(minute(t), s); err == nil {
			t.Errorf("%s was sent", name)
		}
		if _, err := s.Raw(); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if keys := server.Strings("KEYS", "*"); len(keys) != 0 {
		t.Errorf("keys: %v", keys)
	}
}
