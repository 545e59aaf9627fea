package client

import (
	"context"
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
	return &Client{config: config, broker: broker, results: results, origin: fmt.Sprintf("gen%d@%s", os.Getpid(), host), replyTo: uuid.NewString()}, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Close ends the client's connections.
func (c *Client) Close() error { return errors.Join(c.broker.Close(), c.results.Close()) }

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
	// RootID and ParentID place the task in a workflow.
	RootID, ParentID string
}

// Send puts a task on its queue.
func (c *Client) Send(ctx context.Context, task Task) (*AsyncResult, error) {
	queue := firstOf(task.Queue, c.config.Queue)
	message, err := c.message(task, queue, time.Now())
	if err != nil {
		return nil, fmt.Errorf("send task %s: %w", task.Name, err)
	}
	binding := transport.Binding{Exchange: queue, RoutingKey: queue, Queue: queue}
	if err := c.broker.Declare(ctx, []transport.Binding{binding}); err != nil {
		return nil, fmt.Errorf("send task %s: %w", task.Name, err)
	}
	if err := c.broker.Send(ctx, queue, message.Properties.Priority, message.AppendJSON(nil)); err != nil {
		return nil, fmt.Errorf("send task %s: %w", task.Name, err)
	}
	return c.Result(message.Properties.CorrelationID), nil
}

// message makes the envelope of a task that is sent now.
func (c *Client) message(task Task, queue string, now time.Time) (*protocol.Message, error) {
	if strings.TrimSpace(task.Name) == "" {
		return nil, errors.New("the task has no name")
	}
	m := protocol.TaskMessage{
		ID: firstOf(task.ID, uuid.NewString()), Name: task.Name, RootID: task.RootID, ParentID: task.ParentID,
		ETA: task.ETA, Expires: task.ExpiresAt, HardTimeLimit: task.TimeLimit, SoftTimeLimit: task.SoftTimeLimit,
		Origin: c.origin, Serializer: protocol.Serializer(task.Serializer), Compression: task.Compression,
		ReplyTo: c.replyTo, RoutingKey: queue, Priority: min(9, max(0, task.Priority)), DeliveryTag: uuid.NewString(),
	}
	if task.Countdown > 0 {
		m.ETA = now.Add(task.Countdown)
	}
	if task.Expires != 0 {
		m.Expires = now.Add(task.Expires)
	}
	if task.IgnoreResult {
		m.IgnoreResult = &task.IgnoreResult
	}
	for i, arg := range task.Args {
		raw, err := protocol.Marshal(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		m.Args = append(m.Args, raw)
	}
	var err error
	if m.Kwargs, err = object(task.Kwargs); err != nil {
		return nil, fmt.Errorf("keyword arguments: %w", err)
	}
	if m.Headers, err = object(task.Headers); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	return m.Message()
}

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
