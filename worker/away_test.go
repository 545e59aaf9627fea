package worker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// holder is a worker that has one task which runs until it is released or cancelled, and what the worker has logged.
type holder struct {
	logs     *observer.ObservedLogs
	released chan struct{}
	release  func()
	runs     atomic.Int32
	cancel   chan error // the causes with which runs were cancelled
	result   *client.AsyncResult
	producer *client.Client
}

// startHolder starts a worker on url, and runs the task "hold" on it; server is behind the URL, the client speaks to it directly.
func startHolder(t *testing.T, server *testenv.RedisServer, config worker.Config) *holder {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	config.Logger = zap.New(core)
	released := make(chan struct{})
	h := &holder{logs: logs, released: released, release: sync.OnceFunc(func() { close(released) }), cancel: make(chan error, 10), producer: newClient(t, server)}
	start(t, config, h.register(t))
	t.Cleanup(h.release)
	h.result = send(t, h.producer, client.Task{Name: "hold"})
	testenv.Eventually(t, 10*time.Second, "the task runs", func() bool { return h.runs.Load() == 1 })
	return h
}

func (h *holder) register(t *testing.T) func(*worker.Worker) {
	return func(w *worker.Worker) {
		registerDouble(t)(w)
		handle(t, w, "hold", func(ctx context.Context, _ struct{}) (string, error) {
			h.runs.Add(1)
			select {
			case <-h.released:
				return "held", nil
			case <-ctx.Done():
				h.cancel <- context.Cause(ctx)
				return "", context.Cause(ctx)
			}
		})
	}
}

// works sends a task and waits for its result.
func (h *holder) works(t *testing.T, after string) {
	t.Helper()
	var result *client.AsyncResult
	testenv.Eventually(t, 20*time.Second, "the client sends after "+after, func() bool {
		var err error
		result, err = h.producer.Send(context.Background(), client.Task{Name: "double", Args: []any{4}})
		return err == nil
	})
	if got := get[int](t, result); got != 8 {
		t.Errorf("after %s the result is %d", after, got)
	}
}

// finishes lets the held task end, once, under the claim that it had all the time.
func (h *holder) finishes(t *testing.T, server *testenv.RedisServer) {
	t.Helper()
	h.release()
	if got := get[string](t, h.result); got != "held" || h.runs.Load() != 1 {
		t.Errorf("the task that ran through it gave %q after %d runs", got, h.runs.Load())
	}
	testenv.Eventually(t, 10*time.Second, "all is settled", func() bool { return empty(server) })
}

// stateChanges checks that each going and coming was logged once, not each attempt.
func (h *holder) stateChanges(t *testing.T, most int) {
	t.Helper()
	away := h.logs.FilterMessage("broker is away; trying until it is back").Len()
	if away > most || away < 1 {
		t.Errorf("it was logged %d times that the broker is away", away)
	}
}

func TestARedisThatLostItsMemoryIsTold(t *testing.T) {
	server := testenv.Redis(t) // without persistence
	h := startHolder(t, server, worker.Config{BrokerURL: server.URL(), Lease: time.Second})
	server.Restart()
	testenv.Eventually(t, 10*time.Second, "what ran is cancelled", func() bool { return len(h.cancel) == 1 })
	lost := h.logs.FilterMessageSnippet("Redis has lost its memory").All()
	if len(lost) != 1 || fmt.Sprint(lost[0].ContextMap()["task_ids"]) != "["+h.result.ID+"]" {
		t.Errorf("the loss was logged as %v", lost)
	}
	h.works(t, "the loss")
}

func TestARedisThatLoadsItsDataIsWaitedFor(t *testing.T) {
	server := testenv.Redis(t, "--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
	h := startHolder(t, server, worker.Config{BrokerURL: server.URL()})
	for i := range 1000 {
		server.Do("SET", fmt.Sprint("filler", i), i)
	}
	server.Restart() // returns when the data is loaded, which takes 2 s
	h.works(t, "loading")
	h.finishes(t, server)
	h.stateChanges(t, 2) // the connection breaks, and may be refused again while the server comes up
}

func TestARedisThatIsAReplicaForAWhileIsWaitedFor(t *testing.T) {
	server := testenv.Redis(t)
	h := startHolder(t, server, worker.Config{BrokerURL: server.URL()})
	server.Do("REPLICAOF", "127.0.0.1", "1") // nobody is there: it keeps its data, and refuses writes
	testenv.Eventually(t, 10*time.Second, "the worker has noticed", func() bool {
		return h.logs.FilterMessage("broker is away; trying until it is back").Len() > 0
	})
	server.Do("REPLICAOF", "NO", "ONE")
	h.works(t, "it was a replica")
	h.finishes(t, server)
}

func TestARedisThatIsSilentForHalfAMinuteIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	h := startHolder(t, server, worker.Config{BrokerURL: server.URL()})
	start(t, worker.Config{BrokerURL: server.URL()}, h.register(t)) // a second worker on the same queue, which must not take the first one's task
	server.Signal(syscall.SIGSTOP)
	time.Sleep(30 * time.Second) // twice the lease: this is the fault, not a wait for a condition
	server.Signal(syscall.SIGCONT)
	h.works(t, "half a minute of silence")
	h.finishes(t, server)
}

// holedProxy passes bytes on until it is told to swallow them: the connections that are open then are half-open, nobody hears of their end. New ones work.
type holedProxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	conns    []net.Conn
	holes    []*atomic.Bool
	group    sync.WaitGroup
}

func startHoledProxy(t *testing.T, target string) *holedProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &holedProxy{listener: listener, target: target}
	p.group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = near.Close()
				continue
			}
			hole := &atomic.Bool{}
			p.mu.Lock()
			p.conns, p.holes = append(p.conns, near, far), append(p.holes, hole)
			p.mu.Unlock()
			p.group.Go(func() { pass(near, far, hole) })
			p.group.Go(func() { pass(far, near, hole) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

// swallow makes a hole of every connection that is open now.
func (p *holedProxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, hole := range p.holes {
		hole.Store(true)
	}
}

func pass(from, to net.Conn, hole *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !hole.Load() && n > 0 {
			_, err = to.Write(buffer[:n])
		}
		if err != nil && hole.Load() && err == io.EOF {
			return // the other side is not told
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
	}
}

func TestHalfOpenConnectionsAreNoticedAndWhatTheirGhostsTookRuns(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	proxy := startHoledProxy(t, server.Addr())
	h := startHolder(t, server, worker.Config{BrokerURL: "redis://" + proxy.listener.Addr().String() + "/0", ResultBackend: "redis://" + proxy.listener.Addr().String() + "/0"})
	proxy.swallow()
	// The blocked BLMOVE of the worker is still there for Redis: it moves this message to the worker, whose connection is dead.
	result := send(t, h.producer, client.Task{Name: "double", Args: []any{4}})
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	var got int
	if err := result.Get(ctx, &got); err != nil || got != 8 {
		t.Errorf("the message that a dead connection took gave %d, %v", got, err)
	}
	h.finishes(t, server)
}
