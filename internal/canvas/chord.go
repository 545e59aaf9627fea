package canvas

import (
	"errors"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

var errNoBody = errors.New("the chord has no body")

// applyChord sends a chord's header; its members carry the body. An empty header sends the body at once.
func (c *Composer) applyChord(s *Signature, args []protocol.Raw, given options) (*Result, error) {
	if s.body == nil {
		return nil, errNoBody
	}
	given = given.clone()
	taskID, ok := given.pop("task_id")
	delay := takeAll(&given, "countdown", "eta")
	callbacks := takeAll(&given, "link", "link_error")
	body := s.body.clone()
	body.options = body.options.merge(withoutParent(given))
	var header *Signature
	if s.header != nil {
		header = s.header.clone()
	} else {
		header = newGroup(slices.Clone(s.tasks))
		gid := s.id()
		if gid == "" {
			gid = c.NewID()
		}
		header.options.setText("task_id", gid)
	}
	o := s.options.over(given).over(callbacks)
	own, has := o.pop("task_id")
	if !ok && has {
		taskID = own
	}
	for _, e := range takeAll(&o, "countdown", "eta") {
		if !delay.has(e.name) {
			delay.put(e)
		}
	}
	id, _ := taskID.raw.Text()
	return c.runChord(header, body, s.withArgs(args), id, o, delay)
}

// takeAll pops several options that are not null.
func takeAll(o *options, names ...string) options {
	var taken options
	for _, name := range names {
		if e, ok := o.pop(name); ok {
			taken.put(e)
		}
	}
	return taken
}

func withoutParent(o options) options {
	o = o.clone()
	o.pop("parent_id")
	return o
}

func (c *Composer) runChord(header, body *Signature, args []protocol.Raw, bodyID string, o, delay options) (*Result, error) {
	gid := header.id()
	if gid == "" {
		gid = c.NewID()
	}
	root := body.options.text("root_id")
	body, err := addBodyCallbacks(body, &o)
	if err != nil {
		return nil, err
	}
	over := withoutParent(o)
	if body.options.has("group_id") && body.inChord() { // Celery overwrites it: a chord in a group that ends a chain in a chord's header then hangs
		over.pop("group_id")
	}
	body.options = body.options.over(over)
	if body.Kind == kindChain {
		unrollChords(body)
	}
	if bodyID == "" {
		bodyID = c.NewID()
	}
	result, err := c.freeze(body, frame{id: bodyID, group: gid, root: root})
	if err != nil {
		return nil, err
	}
	stripHeaderLinks(body)
	takeAll(&o, "chain", "chord", "task_id")
	header.options.setText("task_id", gid)
	frozen, err := c.freezeGroup(header, frame{group: gid, chord: option{name: "chord", ref: body}, root: root})
	if err != nil {
		return nil, err
	}
	if len(header.tasks) == 0 {
		if _, err := c.apply(body, []protocol.Raw{protocol.Raw("[]")}, nil); err != nil {
			return nil, err
		}
	} else {
		if frozen.complex() {
			document := protocol.Object{{Name: "result", Value: frozen.Tuple()}}
			c.Groups = append(c.Groups, Group{ID: frozen.ID, Document: string(document.Raw())})
		}
		o.setText("task_id", gid)
		if frozen, err = c.applyGroup(header, args, o.over(delay)); err != nil {
			return nil, err
		}
	}
	if result != nil {
		result.Parent = frozen
	}
	return result, nil
}

// addBodyCallbacks moves link and link_error from a chord's options to its body.
func addBodyCallbacks(body *Signature, o *options) (*Signature, error) {
	callbacks, errbacks := takeAll(o, "link"), takeAll(o, "link_error")
	if len(callbacks)+len(errbacks) == 0 {
		return body, nil
	}
	body = cloneWithMembers(body)
	for _, callback := range callbacks.list("link") {
		if err := body.link(callback); err != nil {
			return nil, err
		}
	}
	for _, errback := range errbacks.list("link_error") {
		if body.Kind == kindGroup {
			linkErrorToBody(body, errback, true)
		} else {
			body.options.appendTo("link_error", errback)
		}
	}
	return body, nil
}

func cloneWithMembers(s *Signature) *Signature {
	s = s.clone()
	switch s.Kind {
	case kindGroup:
		for i, task := range s.tasks {
			s.tasks[i] = cloneWithMembers(task)
		}
	case kindChord:
		if s.body != nil {
			s.body = cloneWithMembers(s.body)
		}
	}
	return s
}

// linkErrorToBody links an errback to each task of a group that is a chord's body. A group that runs as one and has errbacks of its own gets it there.
func linkErrorToBody(s *Signature, errback protocol.Raw, runsAsGroup bool) {
	switch s.Kind {
	case kindGroup:
		if runsAsGroup && !s.options.get("link_error").IsNull() {
			s.options.appendTo("link_error", errback)
			return
		}
		for _, task := range s.tasks {
			linkErrorToBody(task, errback, false)
		}
	case kindChord:
		if s.body != nil {
			linkErrorToBody(s.body, errback, true)
		}
	default:
		s.linkError(errback)
	}
}

// stripHeaderLinks takes the body off the members of a chord that is still to be sent: the chord has it already, and sending the chord puts it back.
func stripHeaderLinks(s *Signature) {
	switch s.Kind {
	case kindChord:
		header := s.header
		if header == nil {
			header = newGroup(s.tasks)
		}
		clearChord(header)
		stripHeaderLinks(header)
		if s.body != nil {
			stripHeaderLinks(s.body)
		}
	case kindGroup, kindChain:
		for _, task := range s.tasks {
			stripHeaderLinks(task)
		}
	}
}

// clearChord removes the chord from the tasks that end a signature.
func clearChord(s *Signature) {
	s.options.pop("chord")
	switch {
	case s.Kind == kindGroup:
		for _, task := range s.tasks {
			clearChord(task)
		}
	case s.Kind == kindChain && len(s.tasks) > 0:
		clearChord(s.tasks[len(s.tasks)-1])
	case s.Kind == kindChord && s.body != nil:
		clearChord(s.body)
	}
}
