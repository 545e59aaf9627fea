package tasks

import "github.com/lovage-go/lovage/protocol"

// Failed is what an errback (link_error) is told of the task that failed: Celery's (request, exc, traceback).
type Failed struct {
	// ID and Task are the failed task's id and name, RootID the id of its workflow's first task. A chord's body that cannot run has failed, too.
	ID, Task, RootID string
	// Exception is what it raised, Traceback the text of where.
	Exception protocol.Exception
	Traceback string
	// Args and Kwargs are the errback's own arguments.
	Args   []protocol.Raw
	Kwargs protocol.Object
}
