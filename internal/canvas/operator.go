package canvas

import "github.com/lovage-go/lovage/protocol"

// Or is Celery's | operator: what runs when b follows a. A group with something behind it becomes a chord, what follows a chord becomes part of its body. Neither a nor b changes.
func Or(a, b *Signature) *Signature {
	switch a.Kind {
	case kindChain:
		return chainOr(a, b)
	case kindGroup:
		if b.emptyGroup() {
			return a
		}
		return newChord(a, b)
	case kindChord:
		if b.Kind != kindGroup && b.Kind != kindChain || b.Kind == kindGroup && len(b.tasks) == 1 {
			return chordOr(a, b.unrolled())
		}
	}
	if b.Kind == kindChain {
		return newChain(append([]*Signature{a}, unchain(b)...))
	}
	return newChain([]*Signature{a, b.unrolled()})
}

func chordOr(a, b *Signature) *Signature {
	chord := a.clone()
	chord.body = behind(chord.body, b)
	return chord
}

// behind puts b behind a chord's body.
func behind(body, b *Signature) *Signature {
	if body == nil {
		return b
	}
	return Or(body, b)
}

func chainOr(a, b *Signature) *Signature {
	if b.emptyGroup() {
		return a
	}
	if b.Kind == kindGroup {
		if b = b.unrolled(); b.Kind != kindGroup {
			return Or(a, b)
		}
	}
	if b.Kind == kindChain {
		whole := a
		for _, task := range unchain(b) {
			whole = Or(whole, task)
		}
		return whole
	}
	if b.Kind == kindGroup {
		tasks := unchain(a)
		if len(tasks) == 0 {
			return b
		}
		if last := tasks[len(tasks)-1]; last.Kind == kindChord {
			last.body = behind(last.body, b)
			return newChain(tasks)
		}
		return newChain(append(tasks, b))
	}
	return chainOrTask(a, b)
}

// chainOrTask puts a task or a chord behind a chain.
func chainOrTask(a, b *Signature) *Signature {
	n := len(a.tasks)
	if n > 0 && a.tasks[n-1].Kind == kindGroup {
		chain := a.clone()
		chain.tasks[n-1] = newChord(chain.tasks[n-1], b)
		if n > 1 && chain.tasks[n-2].Kind == kindChord { // two chords in a row: the second belongs to the body of the first
			chain.tasks[n-2].body = behind(chain.tasks[n-2].body, chain.tasks[n-1])
			chain.tasks = chain.tasks[:n-1]
		}
		return chain
	}
	if n > 0 && a.tasks[n-1].Kind == kindChord && b.Kind != kindChord {
		chain := a.clone()
		chain.tasks[n-1].body = behind(chain.tasks[n-1].body, b)
		return chain
	}
	return newChain(append(unchain(a), b))
}

// accumulate is the body that gives a group's results on as they are; with index only one of its arguments.
func accumulate() *Signature {
	return &Signature{Task: "celery.accumulate", Kwargs: protocol.Object{{Name: "index", Value: protocol.Raw("0")}}}
}
