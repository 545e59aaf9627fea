package worker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

// composer begins a plan of what follows the end of a task.
func (l *life) composer(task *protocol.Task) *canvas.Composer {
	_, host, _ := strings.Cut(l.config.Hostname, "@")
	return canvas.NewComposer(canvas.Origin{
		NewID: uuid.NewString, Now: time.Now(), ReplyTo: l.replyTo, Node: fmt.Sprintf("gen%d@%s", os.Getpid(), host),
		ParentID: task.ID, RootID: firstOf(task.RootID, task.ID), Queue: l.route,
		Errback: l.runErrback,
	})
}

// route is the queue of a task that is sent by name.
func (l *life) route(task string) string {
	if l.config.TaskRoutes != nil {
		if queue := l.config.TaskRoutes(task); queue != "" {
			return queue
		}
	}
	return l.config.DefaultQueue
}

// succeed settles a task that has returned: its follow-ups and its result.
func (l *life) succeed(s *settlement, j *job, task *protocol.Task, h *handler, result protocol.Raw) {
	var children protocol.Raw
	sent := j.running != nil && j.running.sent != nil
	if sent || canvas.HasFollowUps(task) {
		c := l.composer(task)
		if sent {
			c = j.running.sent
		}
		if err := c.Succeeded(task, result); err != nil {
			l.fail(s, j, task, h, fmt.Errorf("send what follows the task: %w", err))
			return
		}
		l.follow(s, task, &c.Plan)
		s.children, children = c.Children, canvas.Tuples(c.Children)
	}
	if !l.ignoreResult(task, h) {
		s.Effects = append(s.Effects, l.storeWith(task, protocol.Success, result, "", children))
	}
}

// replace settles a task that hands over to another one: it stores nothing.
func (l *life) replace(s *settlement, j *job, task *protocol.Task, h *handler, r *tasks.Replacement) {
	c := l.composer(task)
	if err := c.Replace(task, r.Signature); err != nil {
		l.fail(s, j, task, h, err)
		return
	}
	l.log.Info("task replaced", taskFields(task)...)
	l.follow(s, task, &c.Plan)
}

// failed adds a task's failure to its settlement: the result, if it is to be stored, and what follows.
func (l *life) failed(s *settlement, task *protocol.Task, store bool, exception protocol.Exception, traceback string) {
	if store {
		s.Effects = append(s.Effects, l.storeWith(task, protocol.Failure, exception.Raw(), traceback, nil))
	}
	if !canvas.HasFollowUps(task) {
		return
	}
	c := l.composer(task)
	if err := c.Failed(task, exception, traceback, store); err != nil {
		l.log.Error("could not send all that follows a failure", append(taskFields(task), zap.Error(err))...)
	}
	l.follow(s, task, &c.Plan)
}

func (l *life) revoked(s *settlement, task *protocol.Task, exception protocol.Exception) {
	if task.Chord.IsNull() {
		return
	}
	c := l.composer(task)
	c.Revoked(task, exception)
	l.follow(s, task, &c.Plan)
}

// follow adds a plan to a settlement. The members of chords are counted before anything else.
func (l *life) follow(s *settlement, task *protocol.Task, plan *canvas.Plan) {
	if len(plan.Parts) > 0 {
		s.task, s.parts = task, append(s.parts, plan.Parts...)
		counts := make([]transport.Effect, 0, len(plan.Parts)+len(s.Effects))
		for _, part := range plan.Parts {
			counts = append(counts, transport.CountPart(l.chordPart(part)))
		}
		s.Effects = append(counts, s.Effects...)
	}
	s.Effects = append(s.Effects, l.planned(plan)...)
}

// planned turns all of a plan but the counting of members into effects.
func (l *life) planned(plan *canvas.Plan) []transport.Effect {
	var effects []transport.Effect
	for _, size := range plan.Sizes {
		effects = append(effects, transport.SetChordSize(l.chordKeys(size.Group), size.Size, l.config.ResultExpires))
	}
	for _, group := range plan.Groups {
		effects = append(effects, transport.SetValue(l.chordKeys(group.ID).Base, []byte(group.Document), l.config.ResultExpires))
	}
	for _, send := range plan.Sends {
		data := send.Message.AppendJSON(nil)
		for _, queue := range l.queuesOf(send) {
			effects = append(effects, transport.Push(l.broker.Layout().Queue(queue, send.Priority), data))
		}
	}
	for _, f := range plan.Failures {
		task := &protocol.Task{ID: f.ID, GroupID: f.GroupID, ParentID: f.ParentID, Name: f.Task, Args: f.Args, Kwargs: f.Kwargs}
		effects = append(effects, l.storeWith(task, protocol.Failure, f.Exception.Raw(), f.Traceback, canvas.Tuples(f.Children)))
	}
	if len(plan.Revokes) > 0 {
		effects = append(effects, l.revoke(plan.Revokes))
	}
	return effects
}

// queuesOf finds where a message goes: to its queue, or through its exchange.
func (l *life) queuesOf(send canvas.Send) []string {
	if send.Exchange == "" {
		return []string{send.Queue}
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	queues, err := l.broker.Route(ctx, send.Exchange, send.RoutingKey)
	if err != nil {
		l.log.Error("could not look up an exchange; the routing key is taken for the queue", zap.String("exchange", send.Exchange), zap.String("routing_key", send.RoutingKey), zap.Error(err))
		return []string{send.RoutingKey}
	}
	return queues
}

// revoke tells all workers not to run tasks.
func (l *life) revoke(ids []string) transport.Effect {
	list := make([]protocol.Raw, len(ids))
	for i, id := range ids {
		list[i] = protocol.Quote(id)
	}
	request := protocol.ControlRequest{Method: "revoke", Arguments: protocol.Object{
		{Name: "task_id", Value: protocol.Array(list)}, {Name: "terminate", Value: protocol.Raw("false")}, {Name: "signal", Value: protocol.Quote("SIGTERM")},
	}}
	return transport.Publish(l.broker.FanoutChannel(protocol.ControlExchange), request.Message(protocol.ControlExchange, uuid.NewString()).AppendJSON(nil))
}

func (l *life) chordKeys(group string) transport.ChordKeys {
	return transport.ChordKeys{Base: l.config.ResultKeyPrefix + protocol.GroupKey(group)}
}

func (l *life) chordPart(p canvas.Part) transport.Part {
	return transport.Part{
		Keys: l.chordKeys(p.Group), ID: p.ID, Score: p.Score, Value: p.Value(), Ordered: !l.config.ResultChordUnordered, Expires: l.config.ResultExpires,
	}
}

// dispatchChords takes the settlements out that have made a chord complete: they are composed anew, with the chord's body, and come back to the settler. Their claims stand
// until then: if this worker dies the member runs again, is not counted again, and sends the body.
func (l *life) dispatchChords(base context.Context, entries []*settlement, complete []transport.Completion) []*settlement {
	if len(complete) == 0 {
		return entries
	}
	parts := make(map[uint64][]int, len(complete))
	for _, c := range complete {
		parts[c.Seq] = append(parts[c.Seq], c.Part)
	}
	var rest []*settlement
	for _, s := range entries {
		which := parts[s.Claim.Seq]
		if len(which) == 0 || s.task == nil {
			rest = append(rest, s)
			continue
		}
		l.undispatched++
		l.dispatching.Go(func() {
			whole := l.join(base, s, which)
			select {
			case l.dispatched <- whole:
			case <-base.Done():
			}
		})
	}
	return rest
}

// join composes what is still to be done for a settlement whose parts, given by their numbers, have completed chords.
func (l *life) join(base context.Context, s *settlement, which []int) *settlement {
	whole := *s
	whole.parts, whole.before, whole.Effects = nil, nil, nil
	var dispatch []transport.Effect
	for _, i := range which {
		part := s.parts[i]
		values, group := l.readChord(base, part)
		c := l.composer(s.task)
		c.Children = s.children
		joined := canvas.Joined{Group: group, Parts: make([]protocol.Raw, len(values))}
		for i, value := range values {
			joined.Parts[i] = value
		}
		if err := c.Join(part.Chord, joined); err != nil {
			l.log.Error("could not send a chord's body", append(taskFields(s.task), zap.String("group_id", part.Group), zap.Error(err))...)
		}
		effects := l.planned(&c.Plan)
		dispatch = append(append(dispatch, transport.FinishChord(l.chordPart(part), len(effects))), effects...)
		whole.parts = append(whole.parts, c.Parts...)
	}
	for _, part := range whole.parts {
		whole.Effects = append(whole.Effects, transport.CountPart(l.chordPart(part)))
	}
	whole.Effects = append(append(whole.Effects, s.Effects[len(s.before)+len(s.parts):]...), dispatch...)
	return &whole
}

// readChord reads the results of a complete chord; while the server is away it tries again, until the life ends.
func (l *life) readChord(base context.Context, part canvas.Part) (values [][]byte, group []byte) {
	for {
		values, group, err := l.broker.ChordResults(base, l.chordKeys(part.Group), !l.config.ResultChordUnordered)
		if err == nil || !l.state.wait(base, err) {
			return values, group
		}
	}
}

// runErrback runs an errback if it is registered here (HandleErrback).
func (l *life) runErrback(call *canvas.ErrorCall, errback *canvas.Signature) bool {
	h := l.known[errback.Task]
	if h == nil || h.errback == nil {
		return false
	}
	failure := tasks.Failed{
		ID: call.ID, RootID: call.RootID, Task: call.Task, Exception: call.Exception, Traceback: call.Traceback, Args: errback.Args, Kwargs: errback.Kwargs,
	}
	if err := callErrback(h.errback, failure); err != nil {
		l.log.Error("errback failed", zap.String("errback", h.name), zap.String("task_id", call.ID), zap.Error(err))
	}
	return true
}

// callErrback runs an errback. Its panic ends nothing but itself.
func callErrback(run func(context.Context, tasks.Failed) error, failure tasks.Failed) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v", value)
		}
	}()
	return run(context.Background(), failure)
}
