package canvas

import (
	"fmt"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// Failed adds what follows a task's failure (celery/backends/base.py, mark_as_failure): its part of a chord, the failure of what is chained behind it, its errbacks. With store, the tasks behind
// it get its exception as their result.
func (c *Composer) Failed(t *protocol.Task, exception protocol.Exception, traceback string, store bool) error {
	c.part(t, protocol.Failure, exception.Raw())
	if err := c.failChain(t.Chain, exception, traceback, store); err != nil {
		return err
	}
	call := &ErrorCall{ID: t.ID, RootID: t.RootID, Task: t.Name, Exception: exception, Traceback: traceback}
	return c.errbacks(call, t.Errbacks)
}

// failChain lets the steps behind a failed task fail, so that nobody waits for them: above all the last one, which is the chain's result and may be a chord's member.
func (c *Composer) failChain(chain []protocol.Raw, exception protocol.Exception, traceback string, store bool) error {
	pending, ends := slices.Clone(chain), 0 // the chain is in reverse: its first element is its end
	for i := 0; i < len(pending); i++ {
		s, err := Decode(pending[i])
		if err != nil {
			return fmt.Errorf("chained task: %w", err)
		}
		id, group := s.id(), s.options.text("group_id")
		if store && id != "" {
			c.Failures = append(c.Failures, Failure{
				ID: id, GroupID: group, ParentID: s.options.text("parent_id"), Task: s.Task, Args: s.Args, Kwargs: s.Kwargs, Exception: exception, Traceback: traceback,
			})
		}
		if s.inChord() {
			c.failPart(s, exception)
		}
		if store && s.Kind == kindGroup && i == ends { // the canvas ends in it; Celery stores the failure for the group alone, which nobody waits for
			c.failResults(s, exception, traceback)
		}
		if s.Kind == kindChord && s.body != nil {
			if i == ends {
				ends = len(pending)
			}
			pending = append(pending, s.body.Raw())
		}
	}
	return nil
}

// failResults fails what a signature that will never run was to end in.
func (c *Composer) failResults(s *Signature, exception protocol.Exception, traceback string) {
	switch {
	case s == nil:
	case s.Kind == kindChord:
		c.failResults(s.body, exception, traceback)
	case s.Kind == kindGroup:
		for _, task := range s.tasks {
			c.failResults(task, exception, traceback)
		}
	case s.Kind == kindChain && len(s.tasks) > 0:
		c.failResults(s.tasks[len(s.tasks)-1], exception, traceback)
	case s.id() != "" && !slices.ContainsFunc(c.Failures, func(f Failure) bool { return f.ID == s.id() }):
		c.Failures = append(c.Failures, Failure{ID: s.id(), GroupID: s.options.text("group_id"), Exception: exception, Traceback: traceback})
	}
}

func (s *Signature) inChord() bool {
	at := s.options.find("chord")
	return at >= 0 && !s.options[at].none()
}

// failPart counts a signature that will never run for the chord that it is a member of. Celery does so for chained steps alone: there an outer chord waits for ever when the body of an inner
// one cannot run.
func (c *Composer) failPart(s *Signature, exception protocol.Exception) {
	switch { // a chord counts what ends the signature
	case s.Kind == kindChain && len(s.tasks) > 0 && !s.inChord():
		c.failPart(s.tasks[len(s.tasks)-1], exception)
		return
	case s.Kind == kindChord && s.body != nil && !s.inChord():
		c.failPart(s.body, exception)
		return
	case s.Kind == kindGroup:
		for _, task := range s.tasks {
			c.failPart(task, exception)
		}
		return
	}
	id, group, at := s.id(), s.options.text("group_id"), s.options.find("chord")
	if id == "" || group == "" || at < 0 || s.options[at].none() {
		return
	}
	score := firstOf(string(s.options.get("group_index")), "+inf")
	c.Parts = append(c.Parts, Part{Group: group, ID: id, Score: score, State: protocol.Failure, Result: exception.Raw(), Chord: c.encoder.value(s.options[at])})
}

// errbacks calls the errbacks of a failure. Those that do not run here are sent as Celery sends old-style ones: together, as a group of tasks with the failed task's id as argument.
func (c *Composer) errbacks(call *ErrorCall, raws []protocol.Raw) error {
	var others []*Signature
	for _, raw := range raws {
		s, err := Decode(raw)
		if err != nil {
			return fmt.Errorf("errback of %s: %w", call.ID, err)
		}
		if c.Errback == nil || !c.Errback(call, s) {
			others = append(others, s)
		}
	}
	if len(others) == 0 {
		return nil
	}
	o := options{}
	o.setText("parent_id", call.ID)
	o.setText("root_id", firstOf(call.RootID, call.ID))
	if _, err := c.apply(newGroup(others), []protocol.Raw{protocol.Quote(call.ID)}, o); err != nil {
		return fmt.Errorf("errback of %s: %w", call.ID, err)
	}
	return nil
}

// ChordFailed adds what follows when a chord's body cannot run (chord_error_from_stack): its failure, that of what is chained behind it, and its errbacks. cause is the member's own exception, exception the
// ChordError about it.
func (c *Composer) ChordFailed(body *Signature, cause, exception protocol.Exception, traceback string) error {
	chain := body.options.list("chain")
	if body.Kind == kindGroup {
		if err := c.groupFailed(body, cause, traceback); err != nil {
			return err
		}
		return c.failChain(chain, exception, "", true)
	}
	id := body.id()
	if id == "" {
		id = c.NewID()
	}
	call := &ErrorCall{ID: id, Task: body.Task, Exception: exception}
	if err := c.errbacks(call, body.options.list("link_error")); err != nil {
		return err
	}
	c.Failures = append(c.Failures, Failure{ID: id, Exception: exception, Traceback: traceback, Children: slices.Clone(c.Children)})
	if len(chain) == 0 { // the canvas ends in what the body ends in; Celery leaves that pending
		c.failResults(body, exception, traceback)
	}
	c.failPart(body, exception)
	return c.failChain(chain, exception, "", true)
}

// groupFailed fails each task of a group that is a chord's body, and the group itself, and revokes them.
func (c *Composer) groupFailed(body *Signature, cause protocol.Exception, traceback string) error {
	frozen, err := c.freezeGroup(body, frame{})
	if err != nil {
		return err
	}
	groupErrbacks := body.options.list("link_error")
	for i, task := range body.tasks {
		id := frozen.Members[i].ID
		_, own := resultErrbacks(task)
		var once []protocol.Raw
		for _, errback := range slices.Concat(own, groupErrbacks) {
			if !slices.ContainsFunc(once, func(e protocol.Raw) bool { return string(e) == string(errback) }) {
				once = append(once, errback)
			}
		}
		if err := c.errbacks(&ErrorCall{ID: id, Task: "unknown", Exception: cause}, once); err != nil {
			return err
		}
		c.Failures = append(c.Failures, Failure{ID: id, Exception: cause, Traceback: traceback, Children: slices.Clone(c.Children)})
		c.failPart(task, cause)
		c.Revokes = append(c.Revokes, id)
	}
	c.Failures = append(c.Failures, Failure{ID: frozen.ID, Exception: cause, Children: slices.Clone(c.Children)})
	return nil
}

// resultErrbacks finds the errbacks that are called when a task of a chord's group body cannot run.
func resultErrbacks(s *Signature) (id string, errbacks []protocol.Raw) {
	for s.Kind == kindChord && s.body != nil {
		errbacks = append(errbacks, s.options.list("link_error")...)
		s = s.body
	}
	errbacks = append(errbacks, s.options.list("link_error")...)
	if s.Kind == kindGroup {
		for _, task := range s.tasks {
			_, more := resultErrbacks(task)
			errbacks = append(errbacks, more...)
		}
	}
	return s.id(), errbacks
}
