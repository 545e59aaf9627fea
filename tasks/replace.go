package tasks

import "github.com/lovage-go/lovage/protocol"

// Replacement ends a task by another one that takes its place: Celery's self.replace.
type Replacement struct {
	// Signature is what runs instead, as it travels in messages.
	Signature protocol.Raw
}

// Error says what happens.
func (r *Replacement) Error() string { return "replaced by another task" }

// Replace makes the error with which a handler hands its task over: the signature runs under the task's id, with its callbacks, its errbacks, its place in the chord
// and what is chained behind it. The task itself stores no result. The signature may be a task, chain, group or chord (client.Signature.Raw).
func Replace(signature protocol.Raw) error { return &Replacement{Signature: signature} }
