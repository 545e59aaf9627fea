package canvas

import (
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// Plan is what is to be written, all of it in one step.
type Plan struct {
	// Sends are the messages, in Celery's order.
	Sends []Send
	// Sizes are the chords whose size is known now; Groups the results of groups that a chord is to join.
	Sizes  []Size
	Groups []Group
	// Failures are the results of tasks that will never run, because what comes before them failed.
	Failures []Failure
	// Parts are the members of chords that have ended.
	Parts []Part
	// Revokes are the ids of tasks that are to be revoked.
	Revokes []string
	// Children are the results of what was sent, as the task that sent them stores them.
	Children []*Result
}

// Send is one message and where it goes.
type Send struct {
	Message *protocol.Message
	// Queue is the queue's name; "" when Exchange and RoutingKey say where to.
	Queue, Exchange, RoutingKey string
	Priority                    int
	// ID is the task's id, Task its name.
	ID, Task string
}

// Size is a chord's number of members.
type Size struct {
	Group string
	Size  int
}

// Group is a group's result tree, to be saved under its id.
type Group struct{ ID, Document string }

// Failure is the result of a task that will not run.
type Failure struct {
	ID, GroupID, ParentID, Task string
	Args                        []protocol.Raw
	Kwargs                      protocol.Object
	Exception                   protocol.Exception
	Traceback                   string
	// Children are what had been sent when the failure was found.
	Children []*Result
}

// Part is the end of a member of a chord.
type Part struct {
	Group, ID string
	// Score is the member's place in the group, "+inf" for none.
	Score string
	State string
	// Result is the return value or the exception's document.
	Result protocol.Raw
	// Chord is the signature of the chord's body.
	Chord protocol.Raw
}

// Value is how the part is kept under the chord's key .j.
func (p Part) Value() []byte {
	return protocol.Array([]protocol.Raw{protocol.Raw("1"), protocol.Quote(p.ID), protocol.Quote(p.State), p.Result})
}

// ErrorCall is the failure that errbacks are called for.
type ErrorCall struct {
	// ID is the failed task's, RootID "" when it is not known.
	ID, RootID string
	Task       string
	Exception  protocol.Exception
	Traceback  string
}

// Origin says who composes: the names that go into messages, and the task that is the parent of what is sent.
type Origin struct {
	// NewID makes ids of tasks, groups and deliveries.
	NewID func() string
	Now   time.Time
	// ReplyTo is the sender's id (app.thread_oid), Node its gen<pid>@<host>.
	ReplyTo, Node string
	// ParentID and RootID are those of the task that runs; "" in a client.
	ParentID, RootID string
	// Queue is where tasks go that name none, by their name (task_default_queue, task_routes).
	Queue func(task string) string
	// Errback runs an errback that is registered here, and tells whether it was; one that was not is sent as a task.
	Errback func(call *ErrorCall, errback *Signature) bool
	// Serializer and Compression are for tasks that name none (task_serializer, task_compression).
	Serializer  protocol.Serializer
	Compression string
}

// Composer gathers a Plan.
type Composer struct {
	Origin
	Plan
	encoder encoder
}

// NewComposer makes a Composer with an empty plan.
func NewComposer(origin Origin) *Composer { return &Composer{Origin: origin} }
