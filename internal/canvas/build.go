package canvas

import (
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// New makes the signature of a task.
func New(task string, args []protocol.Raw, kwargs protocol.Object) *Signature {
	return &Signature{Task: task, Args: args, Kwargs: kwargs}
}

// Set sets an execution option.
func (s *Signature) Set(name string, value protocol.Raw) { s.options.set(name, value) }

// Link adds a callback, LinkError an errback, where Celery's signatures of each kind put them.
func (s *Signature) Link(callback *Signature) error { return s.link(callback.Raw()) }

// LinkError adds an errback.
func (s *Signature) LinkError(errback *Signature) { s.linkError(errback.Raw()) }

// Clone copies the signature with all of its parts.
func (s *Signature) Clone() *Signature {
	c := s.clone()
	for i, task := range c.tasks {
		c.tasks[i] = task.Clone()
	}
	if c.header != nil {
		for i, task := range c.header.tasks {
			c.header.tasks[i] = task.Clone()
		}
	}
	if c.body != nil {
		c.body = c.body.Clone()
	}
	return c
}

// NewSpread makes the signature of celery.map, celery.starmap or celery.chunks, which run a task for each of some items; n is the size of the chunks.
func NewSpread(name, kind string, task *Signature, items protocol.Raw, n int) *Signature {
	s := &Signature{Task: name, Kind: kind, Immutable: true, inner: task, Kwargs: protocol.Object{{Name: "task", Value: task.Raw()}, {Name: "it", Value: items}}}
	if n > 0 {
		s.Kwargs = append(s.Kwargs, protocol.Member{Name: "n", Value: number(n)})
	}
	return s
}

// NewChain chains signatures as Celery's chain(a, b, c) does: what it gives may be a chord, or the one signature itself.
func NewChain(tasks []*Signature) *Signature {
	if len(tasks) == 1 { // stays a chain, as in Python
		return newChain(slices.Clone(tasks))
	}
	whole := newChain(nil)
	for _, task := range tasks {
		if n := len(whole.tasks); whole.Kind == kindChain && plain(task) && (n == 0 || plain(whole.tasks[n-1])) {
			whole.tasks = append(slices.Clip(whole.tasks), task.clone()) // what Or would do, without copying the chain for each step
			continue
		}
		whole = Or(whole, task)
	}
	return whole
}

func plain(s *Signature) bool {
	return s.Kind != kindChain && s.Kind != kindGroup && s.Kind != kindChord
}

// NewGroup makes a group.
func NewGroup(tasks []*Signature) *Signature { return newGroup(slices.Clone(tasks)) }

// NewChord makes a chord of a list of signatures. A group among them is flattened, its tasks in reverse, as Celery does with chord([group(...)], ...).
func NewChord(header []*Signature, body *Signature) *Signature {
	return newChord(newGroup(slices.Clone(header)), body)
}

// Stamp adds stamped headers to every task, callback and errback, as Signature.stamp does without a visitor: the body of a chord stays as it is.
func (s *Signature) Stamp(stamps protocol.Object) error {
	for _, name := range []string{"link", "link_error"} {
		if err := s.stampLinks(name, stamps); err != nil {
			return err
		}
	}
	for _, task := range s.headerTasks() { // the tasks of a chain or group, too
		if err := task.Stamp(stamps); err != nil {
			return err
		}
	}
	if !plain(s) {
		return nil
	}
	names := s.options.stampedHeaders()
	for _, stamp := range stamps {
		if !slices.Contains(names, stamp.Name) {
			names = append(names, stamp.Name)
		}
		if !s.options.has(stamp.Name) {
			s.options.set(stamp.Name, stamp.Value)
		}
	}
	list := make([]protocol.Raw, len(names))
	for i, name := range names {
		list[i] = protocol.Quote(name)
	}
	s.options.set("stamped_headers", protocol.Array(list))
	return nil
}

func (s *Signature) stampLinks(name string, stamps protocol.Object) error {
	links := s.options.list(name)
	if len(links) == 0 {
		return nil
	}
	stamped := make([]protocol.Raw, len(links))
	for i, raw := range links {
		link, err := Decode(raw)
		if err != nil {
			return err
		}
		if err := link.Stamp(stamps); err != nil {
			return err
		}
		stamped[i] = link.Raw()
	}
	s.options.set(name, protocol.Array(stamped))
	return nil
}
