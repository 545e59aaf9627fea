package canvas

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
	"github.com/lovage-go/lovage/worker"
)

// call is a handler's arguments without its label.
type call struct {
	args []protocol.Raw
	n    string
	kw   protocol.Object
}

// logged makes handlers that leave a line in the row's log, as testdata/app.py's do.
type logged struct {
	pool *redis.Pool
	// pause is how long each handler takes.
	pause time.Duration
}

func (l logged) note(ctx context.Context, c call, args protocol.Raw) error {
	r, _ := tasks.FromContext(ctx)
	stamps, nesting := protocol.Raw("{}"), 0
	for _, header := range r.Headers() {
		switch header.Name {
		case "stamps":
			if !header.Value.IsNull() {
				stamps = header.Value
			}
		case "replaced_task_nesting":
			_ = json.Unmarshal(header.Value, &nesting)
		}
	}
	return l.push(c.n, map[string]any{
		"n": c.n, "task": r.Name, "id": r.ID, "parent": r.ParentID, "root": r.RootID, "group": r.GroupID, "retries": r.Retries, "args": args,
		"redelivered": r.DeliveryInfo.Redelivered, "stamps": stamps, "nesting": nesting, "chord": !r.Chord.IsNull(),
	})
}

func (l logged) push(n string, line map[string]any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	conn := l.pool.Get()
	defer conn.Close()
	row, _, _ := strings.Cut(n, ":")
	if row == "" {
		row = "?"
	}
	_, err = conn.Do("RPUSH", "log:"+row, text)
	return err
}

// handler wraps a function of the call into a Func that takes n by keyword.
func (l logged) handler(run func(ctx context.Context, c call) (any, error)) tasks.Func {
	return func(ctx context.Context, args []protocol.Raw, kwargs protocol.Object) (protocol.Raw, error) {
		if l.pause > 0 {
			time.Sleep(l.pause) // the task's work
		}
		c := call{args: args, n: kwargs.Text("n"), kw: kwargs}
		result, err := run(ctx, c)
		if err != nil {
			return nil, err
		}
		return protocol.Marshal(result)
	}
}

func (c call) int(i int) int {
	if i >= len(c.args) {
		return 0
	}
	var n int
	_ = json.Unmarshal(c.args[i], &n)
	return n
}

func (c call) label() string { _, label, _ := strings.Cut(c.n, ":"); return label }

// fixed is the arguments with defaults filled in.
func (c call) fixed(defaults ...string) protocol.Raw {
	args := append([]protocol.Raw{}, c.args...)
	for len(args) < len(defaults) {
		args = append(args, protocol.Raw(defaults[len(args)]))
	}
	return protocol.Array(args)
}

// flat makes one number of a value.
func flat(value protocol.Raw) int {
	if n, err := strconv.Atoi(string(value)); err == nil {
		return n
	}
	elements, err := value.Elements()
	if err != nil {
		return 1
	}
	sum := 0
	for _, element := range elements {
		sum += flat(element)
	}
	return sum
}

func register(w *worker.Worker, pool *redis.Pool, pause time.Duration) error {
	l := logged{pool, pause}
	for name, run := range map[string]func(context.Context, call) (any, error){
		"c.add": func(ctx context.Context, c call) (any, error) {
			return c.int(0) + c.int(1), l.note(ctx, c, c.fixed("0", "0"))
		},
		"c.echo": func(ctx context.Context, c call) (any, error) {
			return protocol.Array(c.args), l.note(ctx, c, c.fixed())
		},
		"c.tsum": func(ctx context.Context, c call) (any, error) {
			values, err := c.args[0].Elements()
			if err != nil {
				return nil, err
			}
			sum := 0
			for _, v := range values {
				if n, err := strconv.Atoi(string(v)); err == nil {
					sum += n
				}
			}
			slices.SortFunc(values, func(a, b protocol.Raw) int { return strings.Compare(string(a), string(b)) })
			return sum, l.note(ctx, c, protocol.Array([]protocol.Raw{protocol.Array(values)}))
		},
		"c.fail": func(ctx context.Context, c call) (any, error) {
			if err := l.note(ctx, c, c.fixed()); err != nil {
				return nil, err
			}
			return nil, tasks.Raise("ValueError", "no "+c.label())
		},
		"c.flaky": func(ctx context.Context, c call) (any, error) {
			if err := l.note(ctx, c, c.fixed("0", "1")); err != nil {
				return nil, err
			}
			times := 1
			if len(c.args) > 1 {
				times = c.int(1)
			}
			if r, _ := tasks.FromContext(ctx); r.Retries < times {
				return nil, tasks.RetryIn(0, tasks.Raise("KeyError", "again"))
			}
			return c.args[0], nil
		},
		"c.mix": func(ctx context.Context, c call) (any, error) {
			return flat(protocol.Array(c.args)) + 1, l.note(ctx, c, c.fixed())
		},
		"c.again": func(ctx context.Context, c call) (any, error) {
			if err := l.note(ctx, c, c.fixed()); err != nil {
				return nil, err
			}
			if r, _ := tasks.FromContext(ctx); r.Retries < 1 {
				return nil, tasks.RetryIn(0, tasks.Raise("KeyError", "again"))
			}
			return flat(protocol.Array(c.args)) + 1, nil
		},
		"c.errback": func(ctx context.Context, c call) (any, error) { return c.args[0], l.note(ctx, c, c.fixed()) },
		"c.replace": func(ctx context.Context, c call) (any, error) {
			if err := l.note(ctx, c, c.fixed()); err != nil {
				return nil, err
			}
			sig, _ := c.kw.Get("sig")
			s, err := protocol.DecodeSignature(sig)
			if err != nil {
				return nil, err
			}
			if !s.Immutable && s.SubtaskType == "" {
				s.Args = append(append([]protocol.Raw{}, c.args...), s.Args...)
			}
			return nil, tasks.Replace(s.Raw())
		},
		"c.addto": func(ctx context.Context, c call) (any, error) {
			if err := l.note(ctx, c, c.fixed()); err != nil {
				return nil, err
			}
			sig, _ := c.kw.Get("sig")
			return c.args[0], worker.AddToChord(ctx, sig)
		},
	} {
		if err := worker.HandleFunc(w, name, l.handler(run), tasks.WithRetry(tasks.RetryPolicy{MaxRetries: new(5)})); err != nil {
			return err
		}
	}
	giveup := l.handler(func(ctx context.Context, c call) (any, error) {
		if err := l.note(ctx, c, c.fixed()); err != nil {
			return nil, err
		}
		return nil, tasks.RetryIn(0, tasks.Raise("KeyError", "gave up"))
	})
	if err := worker.HandleFunc(w, "c.giveup", giveup, tasks.WithRetry(tasks.RetryPolicy{MaxRetries: new(1)})); err != nil {
		return err
	}
	ignored := l.handler(func(ctx context.Context, c call) (any, error) { return "ignored", l.note(ctx, c, c.fixed()) })
	if err := worker.HandleFunc(w, "c.ignored", ignored, tasks.IgnoreResult(true)); err != nil {
		return err
	}
	return worker.HandleErrback(w, "c.errback3", func(_ context.Context, f tasks.Failed) error {
		n := f.Kwargs.Text("n")
		return l.push(n, map[string]any{
			"n": n, "task": "c.errback3", "id": "", "parent": "", "root": "", "group": "", "retries": 0, "args": []string{f.ID, fmt.Sprint(f.Exception.Repr())},
			"redelivered": false, "stamps": map[string]any{}, "nesting": 0, "chord": false,
		})
	})
}
