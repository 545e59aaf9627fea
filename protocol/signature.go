package protocol

import "fmt"

// The kinds of canvas that a signature can be (subtask_type in celery/canvas.py); "" is a single task.
const (
	CanvasChain = "chain"
	CanvasGroup = "group"
	CanvasChord = "chord"
)

// Signature is a task to be sent later, as Celery's canvas writes it (celery/canvas.py, class Signature).
type Signature struct {
	// Task is the task's name.
	Task   string
	Args   []Raw
	Kwargs Object
	// Options are apply_async's: task_id, group_id, group_index, chord, link, link_error, queue, priority, headers, stamps, ...
	Options Object
	// SubtaskType is one of the Canvas constants, "xmap" or another of Celery's primitives; "" for a plain task.
	SubtaskType string
	// Immutable: the parent's result is not put in front of Args.
	Immutable bool
	// ChordSize is set on a chord's body by the sender.
	ChordSize Raw
	// Extra are members that have no field here.
	Extra Object
}

// DecodeSignature reads a signature.
func DecodeSignature(raw Raw) (Signature, error) {
	members, err := raw.Members()
	if err != nil {
		return Signature{}, fmt.Errorf("read signature: %w", err)
	}
	var s Signature
	for _, member := range members {
		if err := s.set(member); err != nil {
			return s, fmt.Errorf("read signature: %s: %w", member.Name, err)
		}
	}
	if s.Task == "" {
		return s, fmt.Errorf("read signature: %w: it names no task", ErrSyntax)
	}
	return s, nil
}

func (s *Signature) set(member Member) (err error) {
	if member.Value.IsNull() && member.Name != "chord_size" {
		return nil
	}
	switch member.Name {
	case "task":
		s.Task, err = headerText("task", member.Value)
	case "args":
		s.Args, err = member.Value.Elements()
	case "kwargs":
		s.Kwargs, err = member.Value.Members()
	case "options":
		s.Options, err = member.Value.Members()
	case "subtask_type":
		s.SubtaskType = looseText(member.Value)
	case "immutable":
		s.Immutable = truthy(member.Value)
	case "chord_size":
		s.ChordSize = member.Value
	default:
		s.Extra = append(s.Extra, member)
	}
	return err
}

// Raw writes the signature with Celery's members in Celery's order.
func (s Signature) Raw() Raw {
	immutable := Raw("false")
	if s.Immutable {
		immutable = Raw("true")
	}
	object := Object{
		{"task", Quote(s.Task)}, {"args", Array(s.Args)}, {"kwargs", s.Kwargs.Raw()}, {"options", s.Options.Raw()},
		{"subtask_type", textOrNull(s.SubtaskType)}, {"immutable", immutable},
	}
	if len(s.ChordSize) > 0 {
		object = append(object, Member{"chord_size", s.ChordSize})
	}
	return append(object, s.Extra...).Raw()
}

// WithResult gives the arguments of a follow-up: the parent's result in front, unless the signature is immutable.
func (s Signature) WithResult(result Raw) []Raw {
	if s.Immutable {
		return s.Args
	}
	return append([]Raw{result}, s.Args...)
}

// Tasks are the members of a chain or group, or of a chord's header; nil for a single task.
func (s *Signature) Tasks() ([]Raw, error) {
	name := "tasks"
	if s.SubtaskType == CanvasChord {
		name = "header"
	}
	value, ok := s.Kwargs.Get(name)
	if !ok || value.IsNull() {
		return nil, nil
	}
	if value[0] != '{' {
		return value.Elements()
	}
	header, err := DecodeSignature(value) // a chord's header may be a group
	if err != nil {
		return nil, err
	}
	if header.SubtaskType != CanvasGroup {
		return []Raw{value}, nil
	}
	return header.Tasks()
}

// truthy is Python's bool() of a value.
func truthy(value Raw) bool {
	if len(value) == 0 {
		return false
	}
	switch c := value[0]; {
	case c == 't', c == 'N', c == 'I':
		return true
	case c == '"':
		return len(value) > 2
	case c == '{' || c == '[':
		i := skipSpace(value, 1)
		return i < len(value) && value[i] != '}' && value[i] != ']'
	case c == '-' || isDigit(c):
		for _, d := range value {
			if d == 'e' || d == 'E' {
				return false
			}
			if d >= '1' && d <= '9' || d == 'I' {
				return true
			}
		}
	}
	return false
}
