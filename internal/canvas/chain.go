package canvas

import (
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// prepareSteps makes a chain ready to be sent: inner chains become part of it, a group with something behind it becomes a chord with that as body, every step gets its ids.
// Tasks and results come out in reverse, the first step last (celery/canvas.py, _chain.prepare_steps). With clone the steps are copied first; without, they are frozen in place.
func (c *Composer) prepareSteps(chain *Signature, args []protocol.Raw, f frame, linkError []protocol.Raw, clone bool) ([]*Signature, []*Result, error) {
	p := &preparation{c: c, frame: f, linkError: linkError, clone: clone, steps: headOfChain(chain.tasks, clone)}
	for len(p.steps) > 0 {
		task := p.steps[len(p.steps)-1]
		p.steps = p.steps[:len(p.steps)-1]
		if err := p.step(task, args); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(p.results) > 0 && p.results[0] != nil:
		chain.options.setText("task_id", p.results[0].ID)
	case f.id != "":
		chain.options.setText("task_id", f.id)
	}
	if clone {
		for _, task := range p.tasks {
			stripHeaderLinks(task)
		}
	}
	return p.tasks, p.results, nil
}

// headOfChain makes the first step one that has a task of its own, so that it is the one that gets the parent's result.
func headOfChain(tasks []*Signature, clone bool) []*Signature {
	steps := slices.Clone(tasks)
	var stripped *Signature
	for len(steps) > 0 {
		head := steps[0]
		if head.Kind == kindChain {
			if clone {
				head = head.clone()
			}
			steps = slices.Concat(head.tasks, steps[1:])
			continue
		}
		head = head.unrolled()
		steps[0] = head
		if len(steps) > 1 && head.emptyGroup() {
			stripped, steps = head, steps[1:]
			continue
		}
		break
	}
	if stripped != nil && len(steps) == 0 {
		steps = append(steps, stripped)
	}
	return steps
}

type preparation struct {
	c         *Composer
	frame     frame
	linkError []protocol.Raw
	clone     bool

	steps   []*Signature
	tasks   []*Signature
	results []*Result
	prev    *Signature
	prevRes *Result
	done    int
}

// step prepares the last of the remaining steps.
func (p *preparation) step(task *Signature, args []protocol.Raw) error {
	first, last := len(p.steps) == 0, p.done == 0
	task = task.unrolled()
	if task.emptyGroup() && (len(p.steps) > 0 || p.prev != nil) {
		return nil
	}
	if p.clone && task.Kind == kindChord && ledByTask(task.body) {
		p.steps = append(p.steps, unrollBody(task)...)
		return nil
	}
	if p.clone {
		task = task.clone()
	}
	if first && task.Kind != kindGroup {
		if p.clone {
			task.Args = task.withArgs(args)
		} else {
			task.Args = slices.Concat(args, task.Args)
		}
	}
	if task.Kind == kindChain {
		p.steps = append(p.steps, task.tasks...)
		return nil
	}
	var upgraded *Signature
	if task.Kind == kindGroup && p.prev != nil {
		upgraded = task
		task = p.upgrade(task)
	}
	if err := p.freeze(task, last); err != nil {
		return err
	}
	if upgraded != nil && !p.clone {
		upgraded.tasks = task.header.tasks
	}
	return nil
}

// upgrade makes a chord of a group and the step behind it.
func (p *preparation) upgrade(group *Signature) *Signature {
	body, bodyRes := p.prev, p.results[len(p.results)-1]
	p.tasks, p.results = p.tasks[:len(p.tasks)-1], p.results[:len(p.results)-1]
	chord := newChord(group, body)
	if !p.prevRes.Group {
		chord.options.setText("task_id", p.prevRes.ID)
	}
	setDefault(&chord.options, "root_id", p.frame.root)
	p.prev = nil
	var node *Result
	if len(p.tasks) > 0 {
		p.prev, node = p.tasks[len(p.tasks)-1], p.results[len(p.results)-1]
	}
	// What comes behind hangs on the body's result; it is to hang on the chord's.
	for node != nil && node.Parent != bodyRes {
		node = node.Parent
	}
	if node != nil {
		node.Parent = nil
		p.prevRes = node
	}
	return chord
}

func (p *preparation) freeze(task *Signature, last bool) error {
	f := frame{root: p.frame.root}
	if last { // a chain's id, group and chord are those of its last step
		f = frame{id: p.frame.id, root: p.frame.root, group: p.frame.group, chord: p.frame.chord, index: p.frame.index}
	}
	result, err := p.c.freeze(task, f)
	if err != nil {
		return err
	}
	p.done++
	if p.prev != nil && p.prevRes != nil && p.prevRes.Parent == nil {
		p.prevRes.Parent = result
	}
	for _, errback := range p.linkError {
		task.linkError(errback)
		if task.Kind == kindChord && task.body != nil {
			task.body.linkError(errback)
		}
	}
	p.tasks, p.results = append(p.tasks, task), append(p.results, result)
	p.prev, p.prevRes = task, result
	if task.Kind == kindChord && result != nil {
		p.prevRes = result.first()
	}
	return nil
}

// applyChain sends a chain's first step, which carries the others.
func (c *Composer) applyChain(s *Signature, args []protocol.Raw, given options) (*Result, error) {
	o := s.options.over(given)
	take := func(name string) option { e, _ := o.pop(name); return e }
	text := func(name string) string { t, _ := take(name).raw.Text(); return t }
	f := frame{id: text("task_id"), group: text("group_id"), root: text("root_id"), chord: take("chord")}
	text("parent_id")
	f.chord.name = "chord"
	if index := take("group_index"); !index.none() {
		if n, ok := integer(index.raw); ok {
			f.index = &n
		}
	}
	link, linkError := maybeList(take("link").raw), maybeList(take("link_error").raw)
	tasks, results, err := c.prepareSteps(s, s.withArgs(args), f, linkError, true)
	if err != nil || len(results) == 0 {
		return nil, err
	}
	if len(link) > 0 {
		tasks[0].options.extend("link", link)
	}
	first := tasks[len(tasks)-1]
	rest := tasks[:len(tasks)-1]
	o.set("chain", protocol.Array(slices.Concat(o.list("chain"), c.encoder.all(rest))))
	result, err := c.apply(first, nil, o)
	if err != nil || len(rest) == 0 {
		return result, err
	}
	return results[0], nil
}

// ledByTask tells that a chord's body is a chain whose first step is not a group.
func ledByTask(body *Signature) bool {
	return body != nil && body.Kind == kindChain && len(body.tasks) > 0 && body.tasks[0].Kind != kindGroup
}

// unrollBody takes the tail of a chord's body out of it: chord(header, a | b | c) is chord(header, a), b, c. Every member of the header carries the body.
func unrollBody(chord *Signature) []*Signature {
	task := chord.clone()
	steps := unchain(task.body)
	first := steps[0].clone()
	first.options = first.options.merge(forFirstTask(task.body.options))
	task.body = first
	return append([]*Signature{task}, steps[1:]...)
}

// consumedByRun are the options of a chain that are not passed on to its first task.
var consumedByRun = map[string]bool{
	"chord": true, "group_id": true, "group_index": true, "link": true, "link_error": true, "parent_id": true, "root_id": true, "task_id": true,
}

func forFirstTask(o options) options {
	return slices.DeleteFunc(o.clone(), func(e option) bool { return consumedByRun[e.name] })
}

// unchain copies a chain's steps, with the chain's callbacks on the last and its errbacks on all.
func unchain(chain *Signature) []*Signature {
	tasks := chain.clone().tasks
	for _, callback := range chain.options.list("link") {
		if len(tasks) > 0 {
			_ = tasks[len(tasks)-1].link(callback) // it was read before
		}
	}
	for _, errback := range chain.options.list("link_error") {
		for _, task := range tasks {
			task.linkError(errback)
		}
	}
	return tasks
}

// unrollChords splits the bodies of the chords in a chain, as unrollBody.
func unrollChords(chain *Signature) {
	var tasks []*Signature
	for pending := slices.Clone(chain.tasks); len(pending) > 0; {
		task := pending[0]
		pending = pending[1:]
		if task.Kind == kindChain {
			task = task.clone()
			unrollChords(task)
		}
		if task.Kind == kindChord && ledByTask(task.body) {
			pending = slices.Concat(unrollBody(task), pending)
		} else {
			tasks = append(tasks, task)
		}
	}
	chain.tasks = tasks
}
