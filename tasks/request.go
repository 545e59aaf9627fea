package tasks

import (
	"context"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// Request is what a handler may know of the message that it runs for: Celery's self.request under the same names.
type Request struct {
	// ID is the task's id, Name its registered name.
	ID, Name string
	// RootID, ParentID and GroupID place the task in its workflow; "" when there is none (RootID of a root is its own id).
	RootID, ParentID, GroupID string
	// CorrelationID and ReplyTo are the message's properties.
	CorrelationID, ReplyTo string
	// Retries counts the earlier attempts.
	Retries int
	// ETA and Expires are zero when the message has none.
	ETA, Expires time.Time
	// TimeLimit and SoftTimeLimit are the message's limits, 0 when it has none.
	TimeLimit, SoftTimeLimit time.Duration
	// Args and Kwargs are the arguments as they came.
	Args   []protocol.Raw
	Kwargs protocol.Object
	// Chord is the body of the chord that the task is a member of, null for none; Chain what follows it, in reverse.
	Chord protocol.Raw
	Chain []protocol.Raw
	// DeliveryInfo says how the message came.
	DeliveryInfo DeliveryInfo
	// Hostname is the worker's node name.
	Hostname string

	headers func() protocol.Object
}

// DeliveryInfo says how a message came.
type DeliveryInfo struct {
	Exchange, RoutingKey string
	// Queue is where the worker took it from.
	Queue    string
	Priority int
	// Redelivered tells that the message was restored from a worker that did not finish it.
	Redelivered bool
}

// NewRequest makes the request of a task that came from the given queue.
func NewRequest(task *protocol.Task, queue, hostname string) *Request {
	return &Request{
		ID: task.ID, Name: task.Name, RootID: task.RootID, ParentID: task.ParentID, GroupID: task.GroupID,
		CorrelationID: task.CorrelationID, ReplyTo: task.ReplyTo, Retries: task.Retries,
		ETA: task.ETA.Time, Expires: task.Expires.Time, TimeLimit: task.HardTimeLimit, SoftTimeLimit: task.SoftTimeLimit,
		Args: task.Args, Kwargs: task.Kwargs, Chord: task.Chord, Chain: task.Chain,
		DeliveryInfo: DeliveryInfo{
			Exchange: task.Exchange, RoutingKey: task.RoutingKey, Queue: queue, Priority: task.Priority, Redelivered: task.Redelivered,
		},
		Hostname: hostname,
		headers:  task.Headers,
	}
}

// Headers are all headers of the message, the producer's own among them. They are decoded at each call.
func (r *Request) Headers() protocol.Object {
	if r.headers == nil {
		return nil
	}
	return r.headers()
}

type requestKey struct{}

// NewContext gives a handler's context its request.
func NewContext(ctx context.Context, request *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, request)
}

// FromContext finds the request of the task that ctx belongs to.
func FromContext(ctx context.Context) (*Request, bool) {
	request, ok := ctx.Value(requestKey{}).(*Request)
	return request, ok
}
