package protocol

import (
	"fmt"
	"strconv"
	"time"
)

// RetryOptions say what a retried message has that the first one had not.
type RetryOptions struct {
	// Retries is the new count, ETA the time before which it is not to run (zero: at once).
	Retries int
	ETA     time.Time
	// DeliveryTag is a new uuid.
	DeliveryTag string
}

// RetryMessage writes the message of another attempt (celery/app/task.py, Task.retry): id, body, root, parent, group, expires, time limits, stamps and every unknown header stay as
// they are, byte for byte; retries and eta are new, and what a redelivery has left behind is gone.
func (t *Task) RetryMessage(options RetryOptions) ([]byte, error) {
	if t.Version == 1 {
		return t.retryV1(options)
	}
	headers := t.Headers().Set("retries", Raw(strconv.Itoa(options.Retries))).Set("eta", timeOrNull(options.ETA))
	headers = headers.Delete("redelivered").Delete(DeliveriesHeader)
	properties, err := optionalObject(t.rawEnvelope.properties)
	if err != nil {
		return nil, fmt.Errorf("write retry of %s: %w", t.ID, err)
	}
	if value, ok := properties.Get("delivery_info"); ok {
		if info, err := optionalObject(value); err == nil {
			properties = properties.Set("delivery_info", info.Delete("redelivered").Raw())
		}
	}
	properties = properties.Set("delivery_tag", Quote(options.DeliveryTag))
	return replaceMembers(t.data, map[string]Raw{"headers": headers.Raw(), "properties": properties.Raw()})
}

// retryV1 writes a message of protocol 1 anew: there retries and eta are in the body.
func (t *Task) retryV1(options RetryOptions) ([]byte, error) {
	message := TaskMessage{
		ID: t.ID, Name: t.Name, Args: t.Args, Kwargs: t.Kwargs, Callbacks: t.Callbacks, Errbacks: t.Errbacks, Chord: t.Chord, GroupID: t.GroupID,
		Retries: options.Retries, ETA: options.ETA, Expires: t.Expires.Time, HardTimeLimit: t.HardTimeLimit, SoftTimeLimit: t.SoftTimeLimit,
		Headers: t.Headers().Delete("redelivered").Delete(DeliveriesHeader), ReplyTo: t.ReplyTo, Exchange: t.Exchange, RoutingKey: t.RoutingKey,
		Priority: t.Priority, DeliveryTag: options.DeliveryTag,
	}
	m, err := message.MessageV1()
	if err != nil {
		return nil, fmt.Errorf("write retry of %s: %w", t.ID, err)
	}
	return m.AppendJSON(nil), nil
}
