package canvas

import (
	"strconv"

	"github.com/lovage-go/lovage/protocol"
)

// frame is what freezing passes down: the ids that a signature is to have.
type frame struct {
	id, group, root, parent string
	// chord is the body that the frozen tasks count for; chordRaw the same when it is not part of what is being prepared.
	chord option
	index *int
}

func (f frame) hasChord() bool { return !f.chord.none() }

// freeze gives a signature, and all that is in it, ids. Ids that are there stay.
func (c *Composer) freeze(s *Signature, f frame) (*Result, error) {
	switch s.Kind {
	case kindChain:
		_, results, err := c.prepareSteps(s, s.Args, f, nil, false)
		if err != nil || len(results) == 0 {
			return nil, err
		}
		return results[0], nil
	case kindGroup:
		return c.freezeGroup(s, f)
	case kindChord:
		return c.freezeChord(s, f)
	}
	id := s.id()
	if id == "" {
		if id = f.id; id == "" {
			id = c.NewID()
		}
		s.options.setText("task_id", id)
	}
	if f.root != "" {
		s.options.setText("root_id", f.root)
	}
	if f.parent != "" {
		s.options.setText("parent_id", f.parent)
	}
	if !s.options.has("reply_to") {
		s.options.setText("reply_to", c.ReplyTo)
	}
	if f.group != "" && !s.options.has("group_id") {
		s.options.setText("group_id", f.group)
	}
	if f.hasChord() {
		s.options.put(f.chord)
	}
	if f.index != nil {
		s.options.set("group_index", number(*f.index))
	}
	return &Result{ID: id}, nil
}

func number(n int) protocol.Raw { return strconv.AppendInt(nil, int64(n), 10) }

// freezeGroup freezes a group's tasks and makes the groups in it part of it.
func (c *Composer) freezeGroup(s *Signature, f frame) (*Result, error) {
	gid := s.id()
	if gid == "" {
		gid = c.NewID()
		s.options.setText("task_id", gid)
	}
	if f.group != "" {
		s.options.setText("group_id", f.group)
	}
	if f.hasChord() {
		s.options.put(f.chord)
	}
	if f.index != nil {
		s.options.set("group_index", number(*f.index))
	}
	root, parent := setDefault(&s.options, "root_id", f.root), setDefault(&s.options, "parent_id", f.parent)
	flat := flatten(s.tasks)
	result := &Result{ID: gid, Group: true}
	for i, task := range flat {
		index := i
		r, err := c.freeze(task, frame{group: f.group, chord: f.chord, root: root, parent: parent, index: &index})
		if err != nil {
			return nil, err
		}
		result.Members = append(result.Members, r)
	}
	s.tasks = flat
	return result, nil
}

// setDefault is dict.setdefault: an option that is there stays, null or not.
func setDefault(o *options, name, value string) string {
	if !o.has(name) {
		if value == "" {
			o.set(name, protocol.Null())
		} else {
			o.setText(name, value)
		}
	}
	return o.text(name)
}

// flatten copies a group's tasks with those of the groups in it. Celery puts an inner group's tasks in its place in reverse order (collections.deque.extendleft); the places count, for they are the order
// of a chord's results.
func flatten(tasks []*Signature) []*Signature {
	var flat []*Signature
	for stack := reversed(tasks); len(stack) > 0; {
		task := stack[len(stack)-1].clone()
		stack = stack[:len(stack)-1]
		switch {
		case task.Kind == kindGroup:
			stack = append(stack, task.tasks...)
		case task.Kind == kindChain && len(task.tasks) == 0:
		default:
			flat = append(flat, task)
		}
	}
	return flat
}

func reversed(tasks []*Signature) []*Signature {
	out := make([]*Signature, len(tasks))
	for i, task := range tasks {
		out[len(tasks)-1-i] = task
	}
	return out
}

func (c *Composer) freezeChord(s *Signature, f frame) (*Result, error) {
	if s.header == nil {
		s.header, s.tasks = newGroup(s.tasks), nil
	}
	inner := frame{parent: f.parent, root: f.root}
	if s.body != nil {
		inner.chord = option{name: "chord", ref: s.body}
	}
	header, err := c.freezeGroup(s.header, inner)
	if err != nil {
		return nil, err
	}
	s.options.setText("task_id", s.header.id())
	if s.body == nil {
		return nil, nil
	}
	result, err := c.freeze(s.body, frame{id: f.id, root: f.root, chord: f.chord, group: f.group, index: f.index})
	if err != nil || result == nil {
		return nil, err
	}
	result.first().Parent = header
	return result, nil
}
