package once

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

// Task is a task on the template. Name and one of Do and Batches are needed; every other field's zero value is the safe choice.
type Task[In, Out any] struct {
	// Name of the task.
	Name string
	// Needs are the dimensions that its messages must carry. Those that In does not declare are taken out of the keyword arguments before In is bound.
	Needs []tasks.Dimension
	// Key names the effect: messages with the same key have it once between them. The access mode and the prediction run are added by themselves. Default: a hash of the input and
	// the dimensions, so that the same call has its effect once.
	Key func(tasks.Dimensions, In) string
	// Lock names the Redis locks to be held. Default: one, of the task's name and the effect's key.
	Lock func(tasks.Dimensions, In) []string
	// Wait is how long to wait for locks that others hold before the message is put off. Default 2 s; negative: not at all.
	Wait time.Duration
	// Retries is how often a retryable failure is tried again; default 10, negative: not at all. Backoff is the first pause, doubled each time up to a minute; default 1 s.
	Retries int
	Backoff time.Duration
	// OwnRun lets a message of a superseded prediction run work for its own run. Default: it is refused.
	OwnRun bool
	// Tx are the transaction's isolation, timeouts and attempts. IdleTimeout's default is 30 s.
	Tx lockutil.TxOptions
	// Do has the effect, in tx, and returns the result. It may run more than once; what it does in tx is committed once.
	Do func(ctx context.Context, tx *Tx, in In) (Out, error)
	// Batches is for effects that are too large for one transaction: instead of Do.
	Batches func(ctx context.Context, b *Batches, in In) (Out, error)
	// Options are further options of the handler.
	Options []tasks.Option
}

// Handle registers a task on the template.
func Handle[In, Out any](w *worker.Worker, kit *Kit, task Task[In, Out]) error {
	run, err := Func(kit, task)
	if err != nil {
		return err
	}
	return worker.HandleFunc(w, task.Name, run, task.Options...)
}

// Func makes the handler of a task on the template.
func Func[In, Out any](kit *Kit, task Task[In, Out]) (tasks.Func, error) {
	if task.Name == "" || (task.Do == nil) == (task.Batches == nil) {
		return nil, fmt.Errorf("register task %q: it needs a name, and one of Do and Batches", task.Name)
	}
	if task.Retries == 0 {
		task.Retries = 10
	}
	if task.Backoff <= 0 {
		task.Backoff = time.Second
	}
	if task.Wait == 0 {
		task.Wait = 2 * time.Second
	}
	if task.Tx.IdleTimeout == 0 {
		task.Tx.IdleTimeout = 30 * time.Second
	}
	r := &runner[In, Out]{kit: kit, task: task, rules: tasks.DimensionRules{Needs: task.Needs, Modes: kit.config.Modes}}
	for _, name := range tasks.AllDimensions() {
		accepted, err := tasks.Accepts[In](string(name))
		if err != nil {
			return nil, fmt.Errorf("register task %s: %w", task.Name, err)
		}
		if !accepted {
			r.strip = append(r.strip, string(name))
		}
	}
	var err error
	if r.bound, err = tasks.Typed(task.Name, r.guarded); err != nil {
		return nil, fmt.Errorf("register task %s: %w", task.Name, err)
	}
	return r.run, nil
}

// runner runs a task's messages.
type runner[In, Out any] struct {
	kit   *Kit
	task  Task[In, Out]
	rules tasks.DimensionRules
	strip []string
	bound tasks.Func
}

// run is one attempt from the message to its end.
func (r *runner[In, Out]) run(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
	a := newAttempt(ctx, r.kit, r.task.Name, args, kwargs)
	dimensions, err := tasks.ParseDimensions(kwargs, a.headers, r.rules)
	a.dimensions = dimensions
	a.row.Describe(dimensions)
	if err != nil {
		return nil, a.refuse(err)
	}
	a.begin()
	rest := kwargs
	for _, name := range r.strip {
		if _, there := rest.Get(name); there {
			rest = append(protocol.Object(nil), rest...).Delete(name)
		}
	}
	result, err := r.call(context.WithValue(ctx, attemptKey{}, a), args, rest)
	if err != nil {
		return nil, a.fail(ctx, err, r.task.Retries, r.task.Backoff)
	}
	a.succeed()
	return result, nil
}

// call turns a panic into the attempt's error, so that the ledger has it, and lets the worker see it as one.
func (r *runner[In, Out]) call(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (result protocol.Raw, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicked(value)
		}
	}()
	return r.bound(ctx, args, kwargs)
}

// guarded runs a bound call under the first guard.
func (r *runner[In, Out]) guarded(ctx context.Context, in In) (protocol.Raw, error) {
	a := ctx.Value(attemptKey{}).(*attempt)
	input, err := r.digest(a.dimensions, in)
	if err != nil {
		return nil, err
	}
	key := r.key(a.dimensions, in, input)
	if replay := a.headers.Text("lovage_replay_key"); replay != "" { // lovage ledger replay --new-key
		key += "|replay=" + replay
	}
	a.row.EffectKey = key
	e := &effect{kit: r.kit, task: r.task.Name, key: key, input: input, taskID: a.row.TaskID}
	if r.kit.config.Locks == nil {
		a.row.LockResult = "off"
		return r.effect(ctx, a, e, in)
	}
	e.lockKeys = []string{r.task.Name + ":" + key}
	if r.task.Lock != nil {
		e.lockKeys = r.task.Lock(a.dimensions, in)
	}
	r.kit.at("before lock")
	if err := a.lock(ctx, e, max(0, r.task.Wait)); err != nil {
		return nil, err
	}
	defer a.unlock(ctx, e.held)
	result, err := r.effect(e.held.Context(), a, e, in)
	var stale *lockutil.Stale
	if errors.As(err, &stale) && e.held.Err() == nil {
		// The lock is ours, and yet the database has seen a greater number: Redis has lost its counter. The next attempt gets a number above it.
		err = errors.Join(err, r.kit.config.Locks.Raise(ctx, stale.Seen))
	}
	if cause := context.Cause(e.held.Context()); err != nil && errors.Is(cause, lockutil.ErrLost) {
		err = errors.Join(cause, err)
	}
	return result, err
}

// digest is the input's: what the handler sees, and what it is about. Who asked (the ids for tracing) is not part of it.
func (r *runner[In, Out]) digest(d tasks.Dimensions, in In) ([]byte, error) {
	d.TraceID, d.CorrelationID = "", ""
	text, err := protocol.Marshal(in)
	if err != nil {
		return nil, Permanent("input_unreadable", err)
	}
	about, err := protocol.Marshal(d.Map())
	if err != nil {
		return nil, Permanent("input_unreadable", err)
	}
	sum := sha256.New()
	sum.Write(about)
	sum.Write([]byte{'\n'})
	sum.Write(text)
	return sum.Sum(nil), nil
}

// key is the effect's name: no two modes and no two runs share one.
func (r *runner[In, Out]) key(d tasks.Dimensions, in In, input []byte) string {
	name := fmt.Sprintf("%x", input[:16])
	if r.task.Key != nil {
		name = r.task.Key(d, in)
	}
	if len(name) > 500 || strings.ContainsRune(name, 0) { // an index entry has a limit
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return fmt.Sprintf("%s|mode=%s|run=%s", name, d.AccessMode, d.PredictionRunID)
}
