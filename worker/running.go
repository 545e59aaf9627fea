package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/canvas"
	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
)

// running is a handler's run: what it wants to be sent when its task is settled.
type running struct {
	life *life
	task *protocol.Task

	mu    sync.Mutex
	sent  *canvas.Composer
	added []string
}

type runningKey struct{}

// ErrNotRunning says that a context does not belong to a running handler.
var ErrNotRunning = errors.New("the context is not that of a running task")

func runningOf(ctx context.Context) (*running, error) {
	r, ok := ctx.Value(runningKey{}).(*running)
	if !ok {
		return nil, ErrNotRunning
	}
	return r, nil
}

// compose lets f add to what is sent.
func (r *running) compose(f func(c *canvas.Composer) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		r.sent = r.life.composer(r.task)
	}
	return f(r.sent)
}

// AddToChord adds a signature to the chord that the running task is a member of (self.add_to_chord): the body waits for it, too, and gets its result. The message is sent in the
// step that ends the task, whatever its end is. It fails with an error that wraps canvas' "not member of any chord" for a task that is none.
func AddToChord(ctx context.Context, signature protocol.Raw) error {
	r, err := runningOf(ctx)
	if err != nil {
		return fmt.Errorf("add to chord: %w", err)
	}
	return r.compose(func(c *canvas.Composer) error {
		// The same id in every run of this attempt: the chord grows by one even if the worker dies before the end.
		name := fmt.Sprintf("%s/%d/%d", r.task.ID, r.task.Retries, len(r.added))
		id, err := c.AddToChord(r.task, signature, uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String())
		if err == nil {
			r.added = append(r.added, id)
		}
		return err
	})
}

// outgoing adds what the handler has sent to its settlement.
func (r *running) outgoing(s *settlement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		return
	}
	for _, id := range r.added {
		s.before = append(s.before, transport.GrowChord(r.life.chordKeys(r.task.GroupID), id))
	}
	s.Effects = append(s.Effects, r.life.planned(&r.sent.Plan)...)
	r.sent.Plan = canvas.Plan{Children: r.sent.Children}
}
