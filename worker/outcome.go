package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// settlement is one message's end on its way to the settler.
type settlement struct {
	transport.Settlement
	name, id string
	// final ends the claim: it is not held any more once this is settled.
	final bool
	// parked is when a parked message is due.
	parked time.Time
	// done, when set, gets whether the settlement was carried out.
	done chan bool
	// before are effects that come before all others, also before the counting of parts.
	before []transport.Effect
	// task and parts are set while the settlement counts members of chords: one that it makes complete is dispatched with it.
	task  *protocol.Task
	parts []canvas.Part
	// children are what the task has sent.
	children []*canvas.Result
}

func (l *life) end(j *job, effects ...transport.Effect) *settlement {
	return &settlement{Settlement: transport.Settlement{Claim: j.claim, Mode: transport.Ack, Effects: effects}, final: true}
}

// giveBack returns a message as it is to the head of its list.
func (l *life) giveBack(j *job) *settlement {
	priority := 0
	if message, err := protocol.DecodeMessage(j.claim.Message, l.config.limits()); err == nil {
		priority = message.Properties.Priority
	}
	return l.end(j, transport.GiveBack(l.broker.Layout().Queue(j.claim.Queue, priority), j.claim.Queue))
}

func (l *life) park(j *job, due time.Time) *settlement {
	s := l.end(j, l.broker.Park(j.claim.Queue, due))
	s.parked = due
	return s
}

// acknowledge settles a message before it runs (acks_late=False) and waits for the answer: false means that it is not ours any more.
func (l *life) acknowledge(ctx context.Context, j *job) bool {
	s := l.end(j)
	s.Effects = []transport.Effect{transport.Report()}
	s.final = false
	s.done = make(chan bool, 1)
	l.settle(ctx, s)
	select {
	case stood := <-s.done:
		return stood
	case <-ctx.Done():
		return false
	}
}

// started stores the state STARTED, without ending the claim.
func (l *life) started(j *job, task *protocol.Task, h *handler) *settlement {
	s := &settlement{Settlement: transport.Settlement{Claim: j.claim, Mode: transport.Hold}}
	if l.earlyAck(h) {
		s.Mode = transport.Free
	}
	if !l.ignoreResult(task, h) {
		meta := protocol.Object{
			{Name: "pid", Value: protocol.Raw(fmt.Sprint(os.Getpid()))},
			{Name: "hostname", Value: protocol.Quote(l.config.Hostname)},
		}
		s.Effects = []transport.Effect{l.store(j, task, protocol.Started, meta.Raw(), "")}
	}
	return s
}

// store is the effect that stores a result document and publishes it.
func (l *life) store(j *job, task *protocol.Task, status string, result protocol.Raw, traceback string) transport.Effect {
	return l.storeWith(task, status, result, traceback, nil)
}

// storeWith is store with the children: what the task has sent.
func (l *life) storeWith(task *protocol.Task, status string, result protocol.Raw, traceback string, children protocol.Raw) transport.Effect {
	document := protocol.Result{
		Status: status, Result: result, Traceback: traceback, TaskID: task.ID, GroupID: task.GroupID, ParentID: task.ParentID, Children: children,
	}
	if protocol.Ready(status) {
		document.DateDone = time.Now()
	}
	if l.config.ResultExtended {
		document.Extended = &protocol.ExtendedResult{
			Name: task.Name, Args: protocol.Array(task.Args), Kwargs: task.Kwargs.Raw(), Worker: l.config.Hostname,
			Retries: task.Retries, Queue: task.RoutingKey,
		}
	}
	return transport.StoreResult(l.config.ResultKeyPrefix+protocol.ResultKey(task.ID), document.AppendJSON(make([]byte, 0, 256+len(result))), l.config.ResultExpires)
}

// ended settles a task whose handler has returned.
func (l *life) ended(j *job, task *protocol.Task, h *handler, result protocol.Raw, err error, early bool) *settlement {
	s := l.end(j)
	s.name, s.id = task.Name, task.ID
	if early {
		s.Mode = transport.Free
	}
	if j.running != nil {
		j.running.outgoing(s)
	}
	var rejected *tasks.Rejected
	var replacement *tasks.Replacement
	switch {
	case err == nil:
		l.succeed(s, j, task, h, result)
	case errors.Is(err, tasks.ErrIgnore):
		l.log.Info("task ignored", taskFields(task)...)
	case errors.As(err, &replacement):
		l.replace(s, j, task, h, replacement)
	case errors.As(err, &rejected):
		return l.rejected(j, task, rejected, early)
	default:
		if a := decideRetry(task, h.options.Retry, err, time.Now(), random); a.again {
			l.retry(s, j, task, h, a)
		} else {
			l.fail(s, j, task, h, a.err)
		}
	}
	s.Effects = append(s.before, s.Effects...)
	return s
}

func (l *life) fail(s *settlement, j *job, task *protocol.Task, h *handler, err error) {
	trace := traceback(err)
	l.log.Error("task failed", append(taskFields(task), zap.Error(err))...)
	l.failed(s, task, l.storeErrors(task, h), tasks.ExceptionOf(err), trace)
}

func (l *life) rejected(j *job, task *protocol.Task, r *tasks.Rejected, early bool) *settlement {
	l.log.Warn("task rejected", append(taskFields(task), zap.String("reason", r.Reason), zap.Bool("requeue", r.Requeue))...)
	switch {
	case early:
		return l.end(j) // acknowledged before
	case r.Requeue:
		return l.end(j, transport.Requeue(l.broker.Layout().Queue(j.claim.Queue, task.Priority), j.claim.Queue))
	}
	s := l.end(j, l.bury(j, task, "Rejected", r.Reason))
	// as Celery 5.7; older ones store nothing, and AsyncResult.get() waits for ever
	exception := protocol.Exception{Type: "Reject", Module: "celery.exceptions", Args: []protocol.Raw{protocol.Quote(r.Reason), protocol.Raw("false")}}
	l.failed(s, task, l.storeErrors(task, l.known[task.Name]), exception, "")
	return s
}

// undecodable moves a message that cannot be read to the dead letters, byte for byte; the result, where there is an id, says why.
func (l *life) undecodable(j *job, task *protocol.Task, err error) *settlement {
	reason := "DecodeError"
	var decode *protocol.DecodeError
	if errors.As(err, &decode) {
		reason = decode.Reason
	}
	l.log.Error("message cannot be decoded; moved to the dead letters", append(taskFields(task), zap.String("queue", j.claim.Queue), zap.Error(err))...)
	s := l.end(j, l.bury(j, task, reason, err.Error()))
	if task != nil && task.ID != "" && l.config.ResultBackend != disabled {
		exception := protocol.Exception{Type: "DecodeError", Module: "kombu.exceptions", Args: []protocol.Raw{protocol.Quote(err.Error())}}
		if reason == "ContentDisallowed" {
			exception.Type = reason
		}
		s.Effects = append(s.Effects, l.store(j, task, protocol.Failure, exception.Raw(), ""))
	}
	return s
}

// unregistered does what Celery does with an unknown task, except that the message is kept in the dead letters.
func (l *life) unregistered(j *job, task *protocol.Task) *settlement {
	l.log.Error("received unregistered task; moved to the dead letters", taskFields(task)...)
	s := l.end(j, l.bury(j, task, "NotRegistered", task.Name))
	if l.config.ResultBackend != disabled {
		exception := protocol.Exception{Type: "NotRegistered", Module: "celery.exceptions", Args: []protocol.Raw{protocol.Quote(task.Name)}}
		s.Effects = append(s.Effects, l.store(j, task, protocol.Failure, exception.Raw(), ""))
	}
	return s
}

func (l *life) poisoned(j *job, task *protocol.Task) *settlement {
	detail := fmt.Sprintf("delivered %d times to workers that were lost", task.Deliveries)
	l.log.Error("message delivered too often; moved to the dead letters", append(taskFields(task), zap.Int("deliveries", task.Deliveries))...)
	s := l.end(j, l.bury(j, task, "WorkerLostError", detail))
	exception := protocol.Exception{Type: "WorkerLostError", Module: "billiard.exceptions", Args: []protocol.Raw{protocol.Quote(detail)}}
	l.failed(s, task, l.storeErrors(task, l.known[task.Name]), exception, "")
	return s
}

// expired revokes a task that came too late, as Celery does.
func (l *life) expired(j *job, task *protocol.Task, h *handler) *settlement {
	l.log.Info("discarding expired task", taskFields(task)...)
	s := l.end(j)
	exception := protocol.Exception{Type: "TaskRevokedError", Module: "celery.exceptions", Args: []protocol.Raw{protocol.Quote("expired")}}
	if !l.ignoreResult(task, h) {
		s.Effects = append(s.Effects, l.store(j, task, protocol.Revoked, exception.Raw(), ""))
	}
	l.revoked(s, task, exception)
	return s
}

// DeadLetter is the description of a message in the dead letters.
type DeadLetter struct {
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Queue    string    `json:"queue"`
	Priority int       `json:"priority"`
	TaskID   string    `json:"task_id,omitempty"`
	Task     string    `json:"task,omitempty"`
	Worker   string    `json:"worker"`
	Size     int       `json:"size"`
	At       time.Time `json:"at"`
}

func (l *life) bury(j *job, task *protocol.Task, reason, detail string) transport.Effect {
	now := time.Now()
	letter := DeadLetter{
		ID: uuid.NewString(), Reason: reason, Detail: detail, Queue: j.claim.Queue, Worker: l.config.Hostname, Size: j.claim.Size, At: now.UTC(),
	}
	if task != nil {
		letter.TaskID, letter.Task, letter.Priority = task.ID, task.Name, task.Priority
	}
	info, err := json.Marshal(letter)
	if err != nil { // strings and numbers only
		info = []byte(`{}`)
	}
	return transport.Bury(letter.ID, info, j.claim.Queue, now)
}

// taskFields are the log fields of a task; the slice may be appended to.
func taskFields(task *protocol.Task) []zap.Field {
	if task == nil {
		return nil
	}
	return slices.Clip([]zap.Field{zap.String("task_name", task.Name), zap.String("task_id", task.ID), zap.String("root_id", task.RootID), zap.Int("retries", task.Retries)})
}
