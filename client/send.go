package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
)

// Send puts a task on its queue.
func (c *Client) Send(ctx context.Context, task Task) (*AsyncResult, error) {
	promise, err := c.Apply(ctx, S(task))
	if err != nil {
		return nil, fmt.Errorf("send task %s: %w", task.Name, err)
	}
	result, _ := promise.(*AsyncResult)
	return result, nil
}

// Apply sends a signature (apply_async): of a task, or a canvas. Arguments are put in front of its own, or of those of its first task. The promise is
// an *AsyncResult, or a *GroupResult for a group and what ends in one; nil for an empty chain. All messages go in one round trip, all or none.
func (c *Client) Apply(ctx context.Context, signature Signature, args ...any) (Promise, error) {
	promises, err := c.apply(ctx, args, signature)
	if err != nil {
		return nil, err
	}
	return promises[0], nil
}

// ApplyAll sends many signatures in one round trip, all or none of them.
func (c *Client) ApplyAll(ctx context.Context, signatures ...Signature) ([]Promise, error) {
	return c.apply(ctx, nil, signatures...)
}

func (c *Client) apply(ctx context.Context, args []any, signatures ...Signature) ([]Promise, error) {
	raws, err := arguments(args)
	if err != nil {
		return nil, err
	}
	composer := c.composer(time.Now(), uuid.NewString)
	promises := make([]Promise, len(signatures))
	for i, s := range signatures {
		if s.err != nil {
			return nil, s.err
		}
		if s.node == nil {
			return nil, errNoSignature
		}
		result, err := composer.Apply(s.node.Clone(), raws...)
		if err != nil {
			return nil, err
		}
		promises[i] = c.promise(result)
	}
	return promises, c.publish(ctx, &composer.Plan)
}

func (c *Client) composer(now time.Time, newID func() string) *canvas.Composer {
	return canvas.NewComposer(canvas.Origin{NewID: newID, Now: now, ReplyTo: c.replyTo, Node: c.origin, Queue: c.route})
}

func (c *Client) route(task string) string {
	if c.config.TaskRoutes != nil {
		if queue := c.config.TaskRoutes(task); queue != "" {
			return queue
		}
	}
	return c.config.Queue
}

// PublishRetry says how often, and after what pauses, a send is tried again. A send whose answer was lost with its connection is sent again, too, and then runs twice, as in Celery. Zero fields are Celery's defaults.
type PublishRetry struct {
	// Disabled (task_publish_retry = False) gives the first failure back.
	Disabled bool
	// MaxRetries: default 3; negative: as long as the context stands.
	MaxRetries int
	// IntervalStart is the pause before the first retry (default none), IntervalStep what each pause is longer than the one before (default 200 ms), IntervalMax the longest (default 1 s).
	IntervalStart, IntervalStep, IntervalMax time.Duration
}

func (p PublishRetry) withDefaults() PublishRetry {
	if p.MaxRetries == 0 {
		p.MaxRetries = 3
	}
	if p.IntervalStep == 0 {
		p.IntervalStep = 200 * time.Millisecond
	}
	if p.IntervalMax == 0 {
		p.IntervalMax = time.Second
	}
	return p
}

// do runs a send until it succeeds or the policy says that it is enough.
func (p PublishRetry) do(ctx context.Context, send func() error) error {
	for retries := 0; ; retries++ {
		err := send()
		if err == nil || p.Disabled || p.MaxRetries >= 0 && retries >= p.MaxRetries || ctx.Err() != nil {
			return err
		}
		pause := time.NewTimer(min(p.IntervalMax, p.IntervalStart+time.Duration(retries)*p.IntervalStep))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// publish writes a plan: first what the members of chords look for, then the messages.
func (c *Client) publish(ctx context.Context, plan *canvas.Plan) error {
	messages, queues, err := c.outgoing(ctx, plan.Sends)
	if err != nil {
		return err
	}
	return c.config.PublishRetry.do(ctx, func() error {
		for _, size := range plan.Sizes {
			if err := c.results.PrepareChord(ctx, c.chordKeys(size.Group), size.Size, c.config.ResultExpires); err != nil {
				return err
			}
		}
		for _, group := range plan.Groups {
			if err := c.results.Set(ctx, c.chordKeys(group.ID).Base, []byte(group.Document), c.config.ResultExpires); err != nil {
				return err
			}
		}
		if len(messages) == 0 {
			return nil
		}
		if err := c.broker.Declare(ctx, queues); err != nil {
			return err
		}
		return c.broker.SendAll(ctx, messages)
	})
}

func (c *Client) chordKeys(group string) transport.ChordKeys {
	return transport.ChordKeys{Base: c.config.ResultKeyPrefix + protocol.GroupKey(group)}
}

// outgoing finds the lists that messages go to, and the bindings of the queues.
func (c *Client) outgoing(ctx context.Context, sends []canvas.Send) ([]transport.Outgoing, []transport.Binding, error) {
	var messages []transport.Outgoing
	var bindings []transport.Binding
	declared := map[string]bool{}
	for _, send := range sends {
		queues := []string{send.Queue}
		if send.Exchange != "" {
			var err error
			if queues, err = c.broker.Route(ctx, send.Exchange, send.RoutingKey); err != nil {
				return nil, nil, err
			}
		} else if !declared[send.Queue] {
			declared[send.Queue] = true
			bindings = append(bindings, transport.Binding{Exchange: send.Queue, RoutingKey: send.Queue, Queue: send.Queue})
		}
		data := send.Message.AppendJSON(nil)
		for _, queue := range queues {
			messages = append(messages, transport.Outgoing{List: c.broker.Layout().Queue(queue, send.Priority), Message: data})
		}
	}
	return messages, bindings, nil
}
