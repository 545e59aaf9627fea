package canvas

import "github.com/lovage-go/lovage/protocol"

// Result is the promise of a signature: of one task, or of a group when Members is not nil.
type Result struct {
	ID string
	// Parent is the result that comes before this one in the workflow.
	Parent *Result
	// Group tells that this is a group's result, of Members.
	Group   bool
	Members []*Result
}

// Tuple writes the result as AsyncResult.as_tuple does: [[id, parent], members], members null for a task.
func (r *Result) Tuple() protocol.Raw {
	if r == nil {
		return protocol.Null()
	}
	members := protocol.Null()
	if r.Group {
		members = Tuples(r.Members)
	}
	return protocol.Array([]protocol.Raw{protocol.Array([]protocol.Raw{protocol.Quote(r.ID), r.Parent.Tuple()}), members})
}

// Tuples writes several results: the children of a stored result.
func Tuples(results []*Result) protocol.Raw {
	elements := make([]protocol.Raw, len(results))
	for i, r := range results {
		elements[i] = r.Tuple()
	}
	return protocol.Array(elements)
}

// first is the result at the head of the line of parents.
func (r *Result) first() *Result {
	for r.Parent != nil {
		r = r.Parent
	}
	return r
}

func (r *Result) complex() bool {
	for _, m := range r.Members {
		if m.Group {
			return true
		}
	}
	return false
}
