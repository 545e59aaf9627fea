package protocol

import "fmt"

// Signature is a task to be sent later, as Celery's canvas writes it (celery/canvas.py, class Signature).
type Signature struct {
	// Task is the task's name.
	Task   string
	Args   []Raw
	Kwargs Object
	// Options are apply_async's: task_id, group_id, group_index, chord, link, link_error, queue, priority, headers, stamps, ...
	Options Object
	// SubtaskType is "chain", "group", "chord", ... for canvas primitives; "" for a plain task.
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
		s.Immutable = string(member.Value) == "true"
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
