package client

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
)

// Config says where tasks are sent and results are read. The zero value is the broker of CELERY_BROKER_URL, or redis://localhost:6379/0, with results in the same Redis.
type Config struct {
	// BrokerURL (broker_url): default CELERY_BROKER_URL from the environment, then redis://localhost:6379/0.
	BrokerURL string
	// ResultBackend (result_backend): default CELERY_RESULT_BACKEND from the environment, then the broker's Redis.
	ResultBackend string
	// Queue is where tasks go that name none (task_default_queue): default "celery".
	Queue string
	// ResultExpires (result_expires) is how long the keys of chords are kept that are sent from here. Default 24 h; negative: for ever. The results' own time is the worker's.
	ResultExpires time.Duration
	// PublishRetry (task_publish_retry_policy) says how often a send is tried again when the broker cannot be reached.
	PublishRetry PublishRetry
	// TaskRoutes (task_routes) gives a queue for tasks by name; "" means Queue. A task's own queue beats it.
	TaskRoutes func(task string) string
	// KeyPrefix and ResultKeyPrefix are the transport options global_keyprefix of broker and result backend.
	KeyPrefix, ResultKeyPrefix string
}

// Client sends tasks and reads results. It is safe for concurrent use.
type Client struct {
	config  Config
	broker  *transport.Broker
	results *transport.Broker
	origin  string
	replyTo string
	heard   *listener
}

// New makes a client. It does not connect yet; a bad URL is an error.
func New(config Config) (*Client, error) {
	if config.BrokerURL == "" {
		config.BrokerURL = firstOf(os.Getenv("CELERY_BROKER_URL"), "redis://localhost:6379/0")
	}
	if config.ResultBackend == "" {
		config.ResultBackend = firstOf(os.Getenv("CELERY_RESULT_BACKEND"), config.BrokerURL)
	}
	config.Queue = firstOf(config.Queue, "celery")
	broker, err := transport.New(transport.Options{URL: config.BrokerURL, Layout: transport.Layout{Prefix: config.KeyPrefix}})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	results, err := transport.New(transport.Options{URL: config.ResultBackend})
	if err != nil {
		return nil, fmt.Errorf("make client: result backend: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	if config.ResultExpires == 0 {
		config.ResultExpires = 24 * time.Hour
	}
	config.ResultExpires = max(0, config.ResultExpires)
	config.PublishRetry = config.PublishRetry.withDefaults()
	return &Client{
		config: config, broker: broker, results: results, origin: fmt.Sprintf("gen%d@%s", os.Getpid(), host), replyTo: uuid.NewString(), heard: newListener(results),
	}, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Close ends the client's connections. What still waits for a result gets an error.
func (c *Client) Close() error {
	c.heard.close()
	return errors.Join(c.broker.Close(), c.results.Close())
}

// Task is one call to be sent: the arguments and options of Celery's send_task.
type Task struct {
	// Name of the task; Args and Kwargs are any values that protocol.Marshal writes.
	Name   string
	Args   []any
	Kwargs map[string]any
	// ID (task_id): default a new uuid.
	ID string
	// Queue: default the client's.
	Queue string
	// Countdown, or ETA, delays the run.
	Countdown time.Duration
	ETA       time.Time
	// Expires is how long after now, or at what time, the task is not to run any more.
	Expires   time.Duration
	ExpiresAt time.Time
	// Priority 0..9; over Redis a lower number is served first.
	Priority int
	// Serializer: json (default), msgpack or yaml. Compression: zlib, bzip2, lzma, brotli, zstd; default none.
	Serializer, Compression string
	// Headers are merged into the message's.
	Headers map[string]any
	// IgnoreResult, TimeLimit and SoftTimeLimit as in apply_async.
	IgnoreResult             bool
	TimeLimit, SoftTimeLimit time.Duration
	// RootID, ParentID and GroupID place the task in a workflow.
	RootID, ParentID, GroupID string
	// Exchange and RoutingKey send through an exchange instead of to a queue: to the queues that are bound to it with the key.
	Exchange, RoutingKey string
	// Shadow is the name to show instead of Name in logs and events.
	Shadow string
	// Retries is the count that the task starts with; ReplyTo is for other result backends.
	Retries int
	ReplyTo string
	// Link are callbacks that run with the result, LinkError those that run when the task fails.
	Link, LinkError []Signature
	// Properties are options that Celery does not know; they travel in the message's properties.
	Properties map[string]any
}

var errNoName = errors.New("the task has no name")

func trimmed(name string) string { return strings.TrimSpace(name) }

func object(values map[string]any) (protocol.Object, error) {
	if len(values) == 0 {
		return nil, nil
	}
	raw, err := protocol.Marshal(values)
	if err != nil {
		return nil, err
	}
	return raw.Members()
}
