package canvas

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// Signature is a node of a canvas while it is being prepared: a task, or one of the primitives chain, group and chord with its parts.
type Signature struct {
	// Task is the task's name; that of a primitive begins with "celery.".
	Task string
	// Kind is the subtask_type: "chain", "group", "chord", another of Celery's, or "" for a task.
	Kind      string
	Args      []protocol.Raw
	Kwargs    protocol.Object
	Immutable bool
	options   options
	// tasks are a chain's steps, a group's members, or a chord's header that is a plain list.
	tasks []*Signature
	// header is a chord's header once it is a group; body is what follows it, nil for none.
	header, body *Signature
	extra        protocol.Object
	// inner is the signature of the task that a map, starmap or chunks runs, when it was built here: Python shows its arguments as a tuple then.
	inner *Signature
}

// The primitives.
const (
	kindChain = protocol.CanvasChain
	kindGroup = protocol.CanvasGroup
	kindChord = protocol.CanvasChord
)

// maxDepth bounds the nesting of canvases: text from outside must not exhaust the stack.
const maxDepth = 500

var errDepth = errors.New("the canvas is nested too deep")

// Decode reads a signature as it travels in messages.
func Decode(raw protocol.Raw) (*Signature, error) { return decode(raw, maxDepth) }

func decode(raw protocol.Raw, depth int) (*Signature, error) {
	if depth == 0 {
		return nil, fmt.Errorf("read signature: %w", errDepth)
	}
	plain, err := protocol.DecodeSignature(raw)
	if err != nil {
		return nil, err
	}
	s := &Signature{Task: plain.Task, Kind: plain.SubtaskType, Args: plain.Args, Kwargs: plain.Kwargs, Immutable: plain.Immutable, extra: plain.Extra}
	if len(plain.ChordSize) > 0 {
		s.extra = append(protocol.Object{{Name: "chord_size", Value: plain.ChordSize}}, s.extra...)
	}
	for _, member := range plain.Options {
		s.options.set(member.Name, member.Value)
	}
	switch s.Kind {
	case kindChain, kindGroup:
		// celery/canvas.py builds both anew from tasks and options alone
		s.Args, s.Immutable = nil, false
		s.tasks, err = decodeAll(member(s.Kwargs, "tasks"), depth)
		s.Kwargs = nil
	case kindChord:
		err = s.decodeChord(depth)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Task, err)
	}
	return s, nil
}

func (s *Signature) decodeChord(depth int) (err error) {
	header, body := member(s.Kwargs, "header"), member(s.Kwargs, "body")
	if s.tasks, err = decodeHeader(header, depth); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if !body.IsNull() {
		if s.body, err = decode(body, depth-1); err != nil {
			return fmt.Errorf("body: %w", err)
		}
	}
	inner := member(s.Kwargs, "kwargs")
	s.Kwargs = nil
	if !inner.IsNull() {
		s.Kwargs, err = inner.Members()
	}
	return err
}

// decodeHeader reads a chord's header: a list of signatures, or one signature; of a group or chain the tasks are taken (canvas.py, _maybe_group).
func decodeHeader(raw protocol.Raw, depth int) ([]*Signature, error) {
	if raw.IsNull() || raw[0] != '{' {
		return decodeAll(raw, depth)
	}
	header, err := decode(raw, depth-1)
	if err != nil {
		return nil, err
	}
	if header.Kind == kindGroup || header.Kind == kindChain {
		return header.tasks, nil
	}
	return []*Signature{header}, nil
}

func decodeAll(raw protocol.Raw, depth int) ([]*Signature, error) {
	if raw.IsNull() {
		return nil, nil
	}
	elements, err := raw.Elements()
	if err != nil {
		return nil, err
	}
	signatures := make([]*Signature, len(elements))
	for i, element := range elements {
		if signatures[i], err = decode(element, depth-1); err != nil {
			return nil, fmt.Errorf("task %d: %w", i, err)
		}
	}
	return signatures, nil
}

func member(object protocol.Object, name string) protocol.Raw {
	value, _ := object.Get(name)
	return value
}

// encoder writes signatures. A chord's body is in the options of every task of its header: it is written once and its text shared.
type encoder struct{ bodies map[*Signature]protocol.Raw }

func (e *encoder) ref(s *Signature) protocol.Raw {
	if raw, ok := e.bodies[s]; ok {
		return raw
	}
	raw := e.signature(s)
	if e.bodies == nil {
		e.bodies = map[*Signature]protocol.Raw{}
	}
	e.bodies[s] = raw
	return raw
}

func (e *encoder) value(o option) protocol.Raw {
	if o.ref != nil {
		return e.ref(o.ref)
	}
	return o.raw
}

func (e *encoder) object(o options) protocol.Object {
	object := make(protocol.Object, len(o))
	for i := range o {
		object[i] = protocol.Member{Name: o[i].name, Value: e.value(o[i])}
	}
	return object
}

func (e *encoder) signature(s *Signature) protocol.Raw {
	plain := protocol.Signature{Task: s.Task, Args: s.Args, Kwargs: s.Kwargs, Options: e.object(s.options), SubtaskType: s.Kind, Immutable: s.Immutable, Extra: s.extra}
	switch s.Kind {
	case kindChain, kindGroup:
		plain.Kwargs = protocol.Object{{Name: "tasks", Value: e.signatures(s.tasks)}}
	case kindChord:
		header, body := e.header(s), protocol.Null()
		if s.body != nil {
			body = e.signature(s.body)
		}
		plain.Kwargs = protocol.Object{{Name: "kwargs", Value: s.Kwargs.Raw()}, {Name: "header", Value: header}, {Name: "body", Value: body}}
	}
	return plain.Raw()
}

func (e *encoder) header(chord *Signature) protocol.Raw {
	if chord.header != nil {
		return e.signature(chord.header)
	}
	return e.signatures(chord.tasks)
}

func (e *encoder) signatures(signatures []*Signature) protocol.Raw {
	return protocol.Array(e.all(signatures))
}

func (e *encoder) all(signatures []*Signature) []protocol.Raw {
	elements := make([]protocol.Raw, len(signatures))
	for i, s := range signatures {
		elements[i] = e.signature(s)
	}
	return elements
}

// Raw writes the signature as it travels in messages.
func (s *Signature) Raw() protocol.Raw { return new(encoder).signature(s) }

// clone copies what Celery's clone copies: the options, and the steps of a chain and the body of a chord; the members of a group and the header of a chord are
// shared until they are frozen, which copies them.
func (s *Signature) clone() *Signature {
	c := *s
	c.options = s.options.clone()
	switch s.Kind {
	case kindChain:
		c.tasks = make([]*Signature, len(s.tasks))
		for i, task := range s.tasks {
			c.tasks[i] = task.clone()
		}
	case kindGroup:
		c.tasks = slices.Clone(s.tasks)
	case kindChord:
		c.tasks = slices.Clone(s.tasks)
		if s.header != nil {
			c.header = s.header.clone()
		}
		if s.body != nil {
			c.body = s.body.clone()
		}
	}
	return &c
}

// withArgs puts a parent's results in front of the arguments, unless the signature is immutable.
func (s *Signature) withArgs(args []protocol.Raw) []protocol.Raw {
	if s.Immutable || len(args) == 0 {
		return s.Args
	}
	return slices.Concat(args, s.Args)
}

// id is the signature's task id; "" before it is frozen. The id of a chord is that of its header.
func (s *Signature) id() string { return s.options.text("task_id") }

func (s *Signature) emptyGroup() bool { return s.Kind == kindGroup && len(s.tasks) == 0 }

// headerTasks are the members of a chord's header.
func (s *Signature) headerTasks() []*Signature {
	if s.header != nil {
		return s.header.tasks
	}
	return s.tasks
}

// unrolled gives the only member of a group that has just one.
func (s *Signature) unrolled() *Signature {
	if s.Kind == kindGroup && len(s.tasks) == 1 {
		return s.tasks[0]
	}
	return s
}

func newChain(tasks []*Signature) *Signature {
	return &Signature{Task: "celery.chain", Kind: kindChain, tasks: tasks}
}

func newGroup(tasks []*Signature) *Signature {
	return &Signature{Task: "celery.group", Kind: kindGroup, tasks: tasks}
}

func newChord(header, body *Signature) *Signature {
	c := &Signature{Task: "celery.chord", Kind: kindChord, body: body}
	switch header.Kind {
	case kindGroup, kindChain:
		c.tasks = header.tasks
	default:
		c.tasks = []*Signature{header}
	}
	return c
}

// link adds a callback: to a group's first task (immutable, for it does not get the group's results), and to a chord's body.
func (s *Signature) link(callback protocol.Raw) error {
	switch s.Kind {
	case kindGroup:
		if len(s.tasks) == 0 {
			s.options.appendTo("link", callback)
			return nil
		}
		c, err := Decode(callback)
		if err != nil {
			return err
		}
		c.Immutable = true
		return s.tasks[0].link(c.Raw())
	case kindChord:
		if s.body == nil {
			return errNoBody
		}
		return s.body.link(callback)
	}
	s.options.appendTo("link", callback)
	return nil
}

// linkError adds an errback: to each member of a group, and to a chord's body and, before it is frozen, the chords in its header.
func (s *Signature) linkError(errback protocol.Raw) {
	switch s.Kind {
	case kindGroup:
		for _, task := range s.tasks {
			task.linkError(errback)
		}
	case kindChord:
		for _, task := range s.tasks { // not those of a header that is frozen
			if task.Kind == kindChord {
				task.linkError(errback)
			}
		}
		if s.body != nil {
			s.body.linkError(errback)
		}
	default:
		s.options.appendTo("link_error", errback)
	}
}
