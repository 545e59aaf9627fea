package canvas

import (
	"errors"

	"github.com/lovage-go/lovage/protocol"
)

// ErrGroupLink says that a callback was to be linked to a group; Celery refuses it, too.
var ErrGroupLink = errors.New("cannot add link to group: use a chord")

// applyGroup sends a group's tasks.
func (c *Composer) applyGroup(s *Signature, args []protocol.Raw, given options) (*Result, error) {
	given = given.clone()
	addToParent := popFlag(&given, "add_to_parent", true)
	for _, name := range []string{"link", "link_error"} {
		if _, ok := given.pop(name); ok {
			return nil, ErrGroupLink
		}
	}
	if len(s.tasks) == 0 {
		return c.freezeGroup(s, frame{})
	}
	o := s.options.merge(given)
	gid := ""
	if e, ok := o.pop("task_id"); ok {
		gid, _ = e.raw.Text()
	}
	if gid == "" {
		gid = c.NewID()
	}
	o.setText("group_id", gid)
	result := &Result{ID: gid, Group: true}
	tasks, err := c.prepareGroup(s.tasks, gid, o.text("root_id"), result)
	if err != nil {
		return nil, err
	}
	if err := c.sendGroup(tasks, gid, args, o); err != nil {
		return nil, err
	}
	if len(result.Members) == 1 && result.Members[0].Group { // a group of one chain that ends in a group
		result = result.Members[0]
	}
	if addToParent {
		c.Children = append(c.Children, result)
	}
	return result, nil
}

// prepareGroup copies and freezes the members; those of inner groups are members, too.
func (c *Composer) prepareGroup(members []*Signature, gid, root string, result *Result) ([]*Signature, error) {
	var tasks []*Signature
	for i, member := range members {
		task := member.clone()
		switch {
		case task.Kind == kindGroup:
			inner, err := c.prepareGroup(task.tasks, gid, root, result)
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, inner...)
		case task.Kind == kindChain && len(task.tasks) == 0:
		default:
			index := i
			r, err := c.freeze(task, frame{group: gid, root: root, index: &index})
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, task)
			result.Members = append(result.Members, r)
		}
	}
	return tasks, nil
}

func (c *Composer) sendGroup(tasks []*Signature, gid string, args []protocol.Raw, o options) error {
	o = o.clone()
	chord, hasChord := o.pop("chord")
	o.pop("group_index")
	size := 0
	for i, task := range tasks {
		body, counted := chord, hasChord
		if !hasChord {
			if at := task.options.find("chord"); at >= 0 && !task.options[at].none() {
				body, counted = task.options[at], true
			}
		}
		size += descend(task)
		// Members that belong to another group already, an outer chord's, are counted there.
		if counted && i == len(tasks)-1 && countsFor(task, gid) {
			c.Sizes = append(c.Sizes, Size{Group: gid, Size: size})
		}
		with := options{{name: "add_to_parent", raw: protocol.Raw("false")}}
		if counted {
			with.put(body)
		}
		with = with.over(o)
		if _, err := c.apply(task, args, with); err != nil {
			return err
		}
	}
	return nil
}

// countsFor tells whether the end of a member is counted for its own group.
func countsFor(s *Signature, gid string) bool {
	switch {
	case s.Kind == kindChain && len(s.tasks) > 0:
		return countsFor(s.tasks[len(s.tasks)-1], gid)
	case s.Kind == kindChord && s.body != nil:
		return countsFor(s.body, gid)
	}
	group := s.options.text("group_id")
	return group == "" || group == gid
}

// popFlag takes a boolean option.
func popFlag(o *options, name string, otherwise bool) bool {
	e, ok := o.pop(name)
	if !ok {
		return otherwise
	}
	return string(e.raw) == "true"
}

// descend counts how many parts a signature contributes to a chord.
func descend(s *Signature) int {
	switch s.Kind {
	case kindGroup:
		size := 0
		for _, task := range s.tasks {
			size += descend(task)
		}
		return size
	case kindChain:
		for i := len(s.tasks) - 1; i >= 0; i-- {
			if size := descend(s.tasks[i]); size > 0 {
				return size
			}
		}
		return 0
	case kindChord:
		if s.body == nil {
			return 0
		}
		return descend(s.body)
	}
	return 1
}
