package worker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
)

// Config says where a worker finds its work and how it treats it. The zero value works: queue "celery" on redis://localhost:6379/0,
// as many handlers at once as there are cores, results in the same Redis for a day.
//
// Each field names the Celery setting that it mirrors.
type Config struct {
	// BrokerURL (broker_url): redis://, rediss://, redis+socket:// or sentinel://. Default: CELERY_BROKER_URL from the environment, then
	// redis://localhost:6379/0.
	BrokerURL string
	// ResultBackend (result_backend): a Redis URL, or "disabled". Default: CELERY_RESULT_BACKEND from the environment, then the broker's Redis.
	// On the broker's server (any database) a result is stored in the same step as its acknowledgement; on another server just before it.
	ResultBackend string
	// Queues (-Q, task_queues) to consume. Default: "celery" (task_default_queue).
	Queues []string
	// Bindings tie queues to exchanges for producers that route by exchange. Default: each queue to the direct exchange of its own
	// name with its own name as routing key, as Celery declares -Q queues.
	Bindings []Binding
	// DefaultQueue (task_default_queue) is where follow-ups go that name no queue. Default "celery". Those of TaskRoutes go elsewhere.
	DefaultQueue string
	// TaskRoutes (task_routes) gives a queue for tasks that are sent from here by name; "" means DefaultQueue.
	TaskRoutes func(task string) string
	// ResultChordUnordered keeps the results of a chord's members in the order of their coming (result_backend_transport_options result_chord_ordered = False). All
	// workers that share chords must agree.
	ResultChordUnordered bool
	// Hostname (-n) is the node name, name@host. Default lovage@<host name>.
	Hostname string
	// Concurrency (worker_concurrency, -c) is the number of handlers that run at once. Default: the number of cores.
	Concurrency int
	// Prefetch is the most claims that wait for a free handler. Default 2000. Fewer are taken when handlers are slow: about what can be
	// started within 50 ms, so that other workers get the rest. Negative: none, a message is claimed only when a handler is free.
	Prefetch int
	// PrefetchBytes bounds the claimed messages together, in bytes; one message is always taken. Default 64 MiB.
	PrefetchBytes int64
	// MaxMessageBytes is the largest message that is run; a larger one goes to the dead letters. Default 128 MiB.
	MaxMessageBytes int
	// MaxBodyBytes is the largest body after inflation. Default 64 MiB.
	MaxBodyBytes int64
	// AcceptContent (accept_content) lists the serializers whose messages are run, by name ("json", "msgpack", "yaml") or content type; others go
	// to the dead letters. Default: all that can be read. Celery's own default is json alone. Pickles are never read.
	AcceptContent []string
	// PlainTypes stores the datetimes, dates, times, decimals and UUIDs of results as text, as Celery before 5.3 (kombu before 5.3) does: set it when such a
	// version reads the results, for it would take kombu's typed form for a dict. Bytes have no form there: EncodeError.
	PlainTypes bool
	// ResultExpires (result_expires) is how long results are kept. Default 24 h; negative: for ever.
	ResultExpires time.Duration
	// ResultExtended (result_extended) adds name, arguments, worker, retries and queue to results.
	ResultExtended bool
	// IgnoreResult (task_ignore_result) stores no results unless a message's header or a task's option says otherwise.
	IgnoreResult bool
	// StoreErrorsEvenIfIgnored (task_store_errors_even_if_ignored).
	StoreErrorsEvenIfIgnored bool
	// TrackStarted (task_track_started) stores STARTED when a handler begins.
	TrackStarted bool
	// EarlyAck acknowledges messages before they run (Celery's task_acks_late=False, its default). Lovage's default is to acknowledge
	// after the run, in the settle step: at least once.
	EarlyAck bool
	// MaxDeliveries is how often a message may be delivered to workers that died over it before it goes to the dead letters. Default 5.
	MaxDeliveries int
	// Lease is how long a worker may be silent before its claims are restored by others. Default 15 s.
	Lease time.Duration
	// DrainTimeout bounds a warm shutdown; what still runs then is cancelled and given back. Default 0: no bound.
	DrainTimeout time.Duration
	// KeyPrefix (broker_transport_options global_keyprefix) goes in front of every key.
	KeyPrefix string
	// ResultKeyPrefix (result_backend_transport_options global_keyprefix) goes in front of every result key.
	ResultKeyPrefix string
	// UnackedKey, UnackedIndexKey, UnackedMutexKey, PrioritySteps and VisibilityTimeout are the transport options of the same
	// names; they must equal those of the Python workers on the same Redis. Defaults: kombu's.
	UnackedKey, UnackedIndexKey, UnackedMutexKey string
	PrioritySteps                                []int
	VisibilityTimeout                            time.Duration
	// Logger takes the log. Default: JSON lines on standard error at level info.
	Logger *zap.Logger
}

// Binding ties a queue to an exchange (kombu.Queue(name, exchange, routing_key)).
type Binding struct {
	Queue, Exchange, RoutingKey string
	// Pattern is set for topic exchanges: the routing key as a regular expression, as kombu stores it.
	Pattern string
}

// disabled is the value of ResultBackend that stores no results at all.
const disabled = "disabled"

func (c Config) withDefaults() (Config, error) {
	if c.BrokerURL == "" {
		c.BrokerURL = firstOf(os.Getenv("CELERY_BROKER_URL"), "redis://localhost:6379/0")
	}
	if c.ResultBackend == "" {
		c.ResultBackend = firstOf(os.Getenv("CELERY_RESULT_BACKEND"), c.BrokerURL)
	}
	if len(c.Queues) == 0 {
		c.Queues = []string{"celery"}
	}
	seen := map[string]bool{}
	for _, queue := range c.Queues {
		if queue == "" || seen[queue] {
			return c, fmt.Errorf("configure worker: queue %q is empty or named twice", queue)
		}
		seen[queue] = true
	}
	if c.Bindings == nil {
		for _, queue := range c.Queues {
			c.Bindings = append(c.Bindings, Binding{Queue: queue, Exchange: queue, RoutingKey: queue})
		}
	}
	if len(c.AcceptContent) > 0 {
		types := make([]string, len(c.AcceptContent))
		for i, name := range c.AcceptContent {
			contentType, err := protocol.ContentType(name)
			if err != nil {
				return c, fmt.Errorf("configure worker: accept_content: %w", err)
			}
			types[i] = contentType
		}
		c.AcceptContent = types
	}
	c.DefaultQueue = firstOf(c.DefaultQueue, "celery")
	if c.Hostname == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("configure worker: find the host's name: %w", err)
		}
		c.Hostname = "lovage@" + host
	}
	if !strings.Contains(c.Hostname, "@") {
		return c, fmt.Errorf("configure worker: hostname %q is not of the form name@host", c.Hostname)
	}
	if c.Concurrency <= 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	if c.Prefetch == 0 {
		c.Prefetch = 2000
	}
	setDefault(&c.PrefetchBytes, 64<<20)
	setDefault(&c.MaxMessageBytes, 128<<20)
	setDefault(&c.MaxBodyBytes, 64<<20)
	setDefault(&c.MaxDeliveries, 5)
	setDefault(&c.Lease, 15*time.Second)
	if c.ResultExpires == 0 {
		c.ResultExpires = 24 * time.Hour
	}
	c.ResultExpires = max(0, c.ResultExpires)
	if c.Logger == nil {
		production := zap.NewProductionConfig()
		production.DisableStacktrace = true // the place in this package says nothing about the task
		production.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		logger, err := production.Build()
		if err != nil {
			return c, fmt.Errorf("configure worker: %w", err)
		}
		c.Logger = logger
	}
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func setDefault[N int | int64 | time.Duration](field *N, value N) {
	if *field <= 0 {
		*field = value
	}
}

func (c Config) transport() transport.Options {
	options := transport.Options{
		URL: c.BrokerURL,
		Layout: transport.Layout{
			Prefix: c.KeyPrefix, Unacked: c.UnackedKey, UnackedIndex: c.UnackedIndexKey, UnackedMutex: c.UnackedMutexKey,
			PrioritySteps: c.PrioritySteps,
		},
		Name:              c.Hostname,
		Lease:             c.Lease,
		VisibilityTimeout: c.VisibilityTimeout,
		LargeMessage:      c.MaxMessageBytes,
	}
	if c.ResultBackend != disabled && c.ResultBackend != c.BrokerURL {
		options.ResultURL = c.ResultBackend
	}
	return options
}

func (c Config) limits() protocol.Limits { return protocol.Limits{MaxBody: c.MaxBodyBytes} }
