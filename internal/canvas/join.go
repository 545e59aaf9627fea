package canvas

import (
	"errors"
	"fmt"

	"github.com/lovage-go/lovage/protocol"
)

var errPart = errors.New("malformed part of a chord")

// Joined is what a complete chord's members have left in Redis.
type Joined struct {
	// Parts are the values under the key .j, in order.
	Parts []protocol.Raw
	// Group is the document of the saved group result, for a header that is not flat; nil for none.
	Group protocol.Raw
	// Polled tells that celery.chord_unlock has gathered the results: its ChordError names no member.
	Polled bool
}

// end is one part, read.
type end struct {
	id, state string
	result    protocol.Raw
}

func readPart(raw protocol.Raw) (end, error) {
	fields, err := raw.Elements()
	if err != nil || len(fields) < 4 {
		return end{}, errPart
	}
	id, ok1 := fields[1].Text()
	state, ok2 := fields[2].Text()
	if !ok1 || !ok2 {
		return end{}, errPart
	}
	return end{id, state, fields[3]}, nil
}

func (e end) failed() bool { return e.state == protocol.Failure || e.state == protocol.Revoked }

// Join adds what follows when all members of a chord have ended: the body with their results in order, or, when one has failed, its failure.
func (c *Composer) Join(chord protocol.Raw, joined Joined) error {
	body, err := Decode(chord)
	if err != nil {
		return fmt.Errorf("chord's body: %w", err)
	}
	results, cause, failure := joined.results()
	if failure == nil {
		if _, err := c.apply(body, []protocol.Raw{results}, nil); err == nil {
			return nil
		} else {
			failure = chordError(fmt.Sprintf("Callback error: %s", err))
			cause = *failure
		}
	}
	text, _ := failure.Args[0].Text()
	traceback := "Traceback (most recent call last):\ncelery.exceptions.ChordError: " + text + "\n"
	return c.ChordFailed(body, cause, *failure, traceback)
}

func chordError(message string) *protocol.Exception {
	return &protocol.Exception{Type: "ChordError", Module: "celery.exceptions", Args: []protocol.Raw{protocol.Quote(message)}}
}

// results makes the list for the body, or finds the member whose failure ends the chord.
func (j Joined) results() (list protocol.Raw, cause protocol.Exception, failure *protocol.Exception) {
	ends := make([]end, len(j.Parts))
	for i, raw := range j.Parts {
		e, err := readPart(raw)
		if err != nil {
			failure = chordError("Join error: " + err.Error())
			return nil, *failure, failure
		}
		ends[i] = e
	}
	for _, e := range ends {
		if e.failed() {
			cause, failure := j.failure(e)
			return nil, cause, failure
		}
	}
	if len(j.Group) > 0 {
		list, err := j.tree(ends)
		if err != nil {
			failure = chordError("Join error: " + err.Error())
			return nil, *failure, failure
		}
		return list, cause, nil
	}
	values := make([]protocol.Raw, len(ends))
	for i, e := range ends {
		values[i] = e.result
	}
	return protocol.Array(values), cause, nil
}

func (j Joined) failure(e end) (cause protocol.Exception, failure *protocol.Exception) {
	cause, err := protocol.DecodeException(e.result)
	if err != nil {
		cause = protocol.Exception{Type: "Exception", Module: "builtins", Args: []protocol.Raw{e.result}}
	}
	if len(j.Group) > 0 {
		failure = chordError("Join error: " + cause.Repr())
		return *failure, failure
	}
	if j.Polled {
		return cause, chordError(cause.Repr())
	}
	return cause, chordError(fmt.Sprintf("Dependency %s raised %s", e.id, cause.Repr()))
}

// tree puts the results into the shape of the saved group result.
func (j Joined) tree(ends []end) (protocol.Raw, error) {
	values := make(map[string]protocol.Raw, len(ends))
	for _, e := range ends {
		values[e.id] = e.result
	}
	document, err := j.Group.Members()
	if err != nil {
		return nil, err
	}
	return shape(member(document, "result"), values, maxDepth)
}

// shape reads [[id, parent], members]: a task's value, or the list of a group's.
func shape(tuple protocol.Raw, values map[string]protocol.Raw, depth int) (protocol.Raw, error) {
	parts, err := tuple.Elements()
	if err != nil || len(parts) != 2 || depth == 0 {
		return nil, errPart
	}
	if parts[1].IsNull() {
		ids, err := parts[0].Elements()
		if err != nil || len(ids) == 0 {
			return nil, errPart
		}
		id, _ := ids[0].Text()
		value, ok := values[id]
		if !ok {
			return nil, fmt.Errorf("no result of %s", id)
		}
		return value, nil
	}
	members, err := parts[1].Elements()
	if err != nil {
		return nil, errPart
	}
	list := make([]protocol.Raw, len(members))
	for i, m := range members {
		if list[i], err = shape(m, values, depth-1); err != nil {
			return nil, err
		}
	}
	return protocol.Array(list), nil
}
