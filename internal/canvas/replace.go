package canvas

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// ErrReplacement says that a signature cannot replace a task.
var ErrReplacement = errors.New("cannot replace the task")

// ErrNoChord says that a task that is to add to its chord is member of none.
var ErrNoChord = errors.New("current task is not member of any chord")

// Replace sends a signature in place of a task (celery/app/task.py, Task.replace): it takes over the id, callbacks, errbacks, group, chord and the rest of the chain.
func (c *Composer) Replace(t *protocol.Task, raw protocol.Raw) error {
	sig, err := Decode(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	if sig.options.has("chord") {
		return fmt.Errorf("%w: a signature replacing a task must not be part of a chord", ErrReplacement)
	}
	if sig.Kind == kindChain && len(sig.tasks) == 0 {
		return fmt.Errorf("%w with an empty chain", ErrReplacement)
	}
	if sig, err = takeLinks(sig, t); err != nil {
		return fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	if _, err := c.freeze(sig, frame{id: t.ID}); err != nil {
		return fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	nesting := 0
	if header, ok := t.Header("replaced_task_nesting"); ok {
		nesting, _ = integer(header)
	}
	depth := number(nesting + 1)
	sig.options.set("chord", nullable(t.Chord))
	setNullable(&sig.options, "group_id", t.GroupID)
	sig.options.set("group_index", protocol.Null())
	if t.HasGroupIndex {
		sig.options.set("group_index", number(t.GroupIndex))
	}
	setNullable(&sig.options, "root_id", t.RootID)
	sig.options.set("replaced_task_nesting", depth)
	if sig.Kind == kindChain {
		for _, task := range sig.tasks {
			task.options.set("replaced_task_nesting", depth)
		}
	}
	for _, raw := range slices.Backward(t.Chain) {
		next, err := Decode(raw)
		if err != nil {
			return fmt.Errorf("%w: next in chain: %w", ErrReplacement, err)
		}
		next.options.set("replaced_task_nesting", depth)
		sig = Or(sig, next)
	}
	_, err = c.apply(sig, nil, nil)
	return err
}

// takeLinks gives the replacement the callbacks and errbacks of the task. A group becomes a chord first, so that they can be linked to its end.
func takeLinks(sig *Signature, t *protocol.Task) (*Signature, error) {
	if sig.Kind == kindGroup {
		sig = Or(sig, accumulate())
	}
	if n := len(sig.tasks); sig.Kind == kindChain && sig.tasks[n-1].Kind == kindGroup {
		sig.tasks[n-1] = Or(sig.tasks[n-1], accumulate())
	}
	for _, callback := range t.Callbacks {
		if err := sig.link(callback); err != nil {
			return nil, err
		}
	}
	for _, errback := range t.Errbacks {
		sig.linkError(errback)
	}
	if sig.Kind == kindChain {
		if links, ok := sig.options.pop("link"); ok {
			sig.tasks[len(sig.tasks)-1].options.extend("link", maybeList(links.raw))
		}
	}
	return sig, nil
}

func nullable(raw protocol.Raw) protocol.Raw {
	if raw.IsNull() {
		return protocol.Null()
	}
	return raw
}

func setNullable(o *options, name, text string) {
	if text == "" {
		o.set(name, protocol.Null())
	} else {
		o.setText(name, text)
	}
}

// AddToChord sends a signature as one more member of the chord that a task belongs to, and returns its id: the caller makes the chord wait for it before the task is counted.
func (c *Composer) AddToChord(t *protocol.Task, raw protocol.Raw, id string) (string, error) {
	if t.Chord.IsNull() || t.GroupID == "" {
		return "", ErrNoChord
	}
	sig, err := Decode(raw)
	if err != nil {
		return "", fmt.Errorf("add to chord: %w", err)
	}
	sig.options.setText("group_id", t.GroupID)
	sig.options.set("group_index", protocol.Null())
	if t.HasGroupIndex {
		sig.options.set("group_index", number(t.GroupIndex))
	}
	sig.options.set("chord", t.Chord)
	setNullable(&sig.options, "root_id", t.RootID)
	result, err := c.freeze(sig, frame{id: id})
	if err != nil || result == nil {
		return "", fmt.Errorf("add to chord: %w", errors.Join(err, ErrNoChord))
	}
	if _, err := c.apply(sig, nil, nil); err != nil {
		return "", fmt.Errorf("add to chord: %w", err)
	}
	return result.ID, nil
}

// SendGroup is the builtin task celery.group: it sends signatures as members of a group.
func (c *Composer) SendGroup(tasks []protocol.Raw, group string, partial []protocol.Raw) error {
	for _, raw := range tasks {
		s, err := Decode(raw)
		if err != nil {
			return err
		}
		s = s.clone()
		s.Args = s.withArgs(partial)
		o := options{{name: "add_to_parent", raw: protocol.Raw("false")}}
		o.setText("group_id", group)
		if _, err := c.apply(s, nil, o); err != nil {
			return err
		}
	}
	return nil
}

// SendChord is the builtin task celery.chord.
func (c *Composer) SendChord(header, body protocol.Raw, partial []protocol.Raw) (*Result, error) {
	tasks, err := decodeHeader(header, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	b, err := Decode(body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return c.runChord(newGroup(tasks), b, partial, "", nil, nil)
}
