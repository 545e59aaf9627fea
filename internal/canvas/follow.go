package canvas

import (
	"fmt"

	"github.com/lovage-go/lovage/protocol"
)

// HasFollowUps tells that something waits for the end of a task.
func HasFollowUps(t *protocol.Task) bool {
	return len(t.Callbacks) > 0 || len(t.Errbacks) > 0 || len(t.Chain) > 0 || !t.Chord.IsNull()
}

// Succeeded adds what follows a task's success: its callbacks (two or more are sent as a group), the next step of its chain, its part of a chord.
func (c *Composer) Succeeded(t *protocol.Task, result protocol.Raw) error {
	o := options{}
	o.setText("parent_id", t.ID)
	o.setText("root_id", t.RootID)
	if err := c.callbacks(t.Callbacks, result, o); err != nil {
		return err
	}
	if n := len(t.Chain); n > 0 {
		next, err := Decode(t.Chain[n-1])
		if err != nil {
			return fmt.Errorf("next in chain: %w", err)
		}
		o := o.clone()
		o.set("chain", protocol.Array(t.Chain[:n-1]))
		if _, err := c.apply(next, []protocol.Raw{result}, o); err != nil {
			return fmt.Errorf("next in chain: %w", err)
		}
	}
	c.part(t, protocol.Success, result)
	return nil
}

func (c *Composer) callbacks(callbacks []protocol.Raw, result protocol.Raw, o options) error {
	var singles, all []*Signature
	for _, raw := range callbacks {
		s, err := Decode(raw)
		if err != nil {
			return fmt.Errorf("callback: %w", err)
		}
		if len(callbacks) > 1 && s.Kind != kindGroup {
			singles = append(singles, s)
		} else {
			all = append(all, s)
		}
	}
	if len(singles) > 0 {
		all = append(all, newGroup(singles))
	}
	for _, s := range all {
		if _, err := c.apply(s, []protocol.Raw{result}, o); err != nil {
			return fmt.Errorf("callback: %w", err)
		}
	}
	return nil
}

// Revoked adds what follows the revocation of a task: its part of a chord.
func (c *Composer) Revoked(t *protocol.Task, exception protocol.Exception) {
	c.part(t, protocol.Revoked, exception.Raw())
}

// part counts a task for its chord. One without a group or an id belongs to none.
func (c *Composer) part(t *protocol.Task, state string, result protocol.Raw) {
	if t.Chord.IsNull() || t.GroupID == "" || t.ID == "" {
		return
	}
	score := "+inf"
	if t.HasGroupIndex {
		score = fmt.Sprint(t.GroupIndex)
	}
	c.Parts = append(c.Parts, Part{Group: t.GroupID, ID: t.ID, Score: score, State: state, Result: result, Chord: t.Chord})
}
