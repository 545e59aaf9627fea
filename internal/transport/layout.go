package transport

import (
	"strconv"
	"strings"
)

// prioritySeparator stands between a queue's name and its priority step, and between the parts of a binding (kombu/transport/redis.py, sep).
const prioritySeparator = "\x06\x16"

// Layout names the Redis keys. The zero value is kombu's default layout.
type Layout struct {
	// Prefix goes in front of every key and channel (transport option global_keyprefix).
	Prefix string
	// Unacked, UnackedIndex and UnackedMutex are the keys that kombu calls unacked_key, unacked_index_key and
	// unacked_mutex_key; defaults "unacked", "unacked_index", "unacked_mutex".
	Unacked, UnackedIndex, UnackedMutex string
	// PrioritySteps are kombu's priority_steps; default 0, 3, 6, 9. They must ascend and start at 0.
	PrioritySteps []int
}

func (l Layout) withDefaults() Layout {
	if l.Unacked == "" {
		l.Unacked = "unacked"
	}
	if l.UnackedIndex == "" {
		l.UnackedIndex = "unacked_index"
	}
	if l.UnackedMutex == "" {
		l.UnackedMutex = "unacked_mutex"
	}
	if len(l.PrioritySteps) == 0 {
		l.PrioritySteps = []int{0, 3, 6, 9}
	}
	return l
}

// Queue is the list that holds messages of the given priority: the plain name for the first step, else name, separator and the
// greatest step not above the priority.
func (l Layout) Queue(name string, priority int) string {
	step := l.PrioritySteps[0]
	for _, s := range l.PrioritySteps {
		if s <= priority {
			step = s
		}
	}
	return l.queueStep(name, step)
}

func (l Layout) queueStep(name string, step int) string {
	if step == 0 {
		return l.Prefix + name
	}
	return l.Prefix + name + prioritySeparator + strconv.Itoa(step)
}

func (l Layout) binding(exchange string) string { return l.Prefix + "_kombu.binding." + exchange }

func (l Layout) permanentBinding(exchange string) string {
	return l.Prefix + "_kombu.binding_permanent." + exchange
}

func (l Layout) unacked() string      { return l.Prefix + l.Unacked }
func (l Layout) unackedIndex() string { return l.Prefix + l.UnackedIndex }
func (l Layout) unackedMutex() string { return l.Prefix + l.UnackedMutex }

// The keys below are Lovage's own. Python never looks at them.

func (l Layout) own(parts ...string) string { return l.Prefix + "lovage:" + strings.Join(parts, ":") }

// workers is a sorted set: worker id -> end of its lease, in seconds of Redis' clock.
func (l Layout) workers() string { return l.own("workers") }

// fenced is a sorted set: worker id -> when its lease was found lapsed. It can settle nothing from then on.
func (l Layout) fenced() string { return l.own("fenced") }

// claims is the set of the sequence numbers that a worker holds.
func (l Layout) claims(id string) string { return l.own("claims", id) }

// started is the set of held sequence numbers whose handler has been started after a redelivery.
func (l Layout) started(id string) string { return l.own("started", id) }

// queuesOf is the set of the queue names that a worker may have an inbox for.
func (l Layout) queuesOf(id string) string { return l.own("queues", id) }

// inbox is the list into which BLMOVE puts the message that ends a wait on the queue.
func (l Layout) inbox(id, queue string) string { return l.own("inbox", id, queue) }

// settled keeps the number and the answer of a worker's last settle batch, so that a batch whose answer was lost can be sent again.
func (l Layout) settled(id string) string { return l.own("settled", id) }

// parked is a queue's due-time set: tag -> due time in seconds.
func (l Layout) parked(queue string) string { return l.own("parked", queue) }

// Dead letters: a sorted set (id -> time), a hash of JSON descriptions and a hash of the messages byte for byte.
func (l Layout) deadLetter() string        { return l.own("deadletter") }
func (l Layout) deadLetterInfo() string    { return l.own("deadletter", "info") }
func (l Layout) deadLetterMessage() string { return l.own("deadletter", "message") }
