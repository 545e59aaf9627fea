package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
)

type generic[T any] struct{ value T }

func (g generic[T]) Error() string { return fmt.Sprint(g.value) }

// TestExceptionsInPython: what Celery's exception_to_python makes of our errors, which is what AsyncResult.get() raises.
func TestExceptionsInPython(t *testing.T) {
	_, number := strconv.Atoi("x")
	var nothing *fs.PathError
	cases := []struct {
		err  error
		want string // module, class, its bases that are built in, arguments
	}{
		{Raise("ValueError", "too small", 3), "builtins.ValueError('too small', 3)"},
		{Raise("KeyError", "k"), "builtins.KeyError('k')"},
		{Raise("RuntimeError"), "builtins.RuntimeError()"},
		{Raise("json.decoder.JSONDecodeError", "msg", "doc", 0), "json.decoder.JSONDecodeError('msg: line 1 column 1 (char 0)',)"},
		{Raise("app.errors.Broken", "b", nil, 1.5, []int{1}), "celery.exceptions.Broken('b', None, 1.5, [1])"},
		{Raise("celery.exceptions.MaxRetriesExceededError", "x"), "celery.exceptions.MaxRetriesExceededError('x',)"},
		{Raise("OSError", 2, "no such file"), "builtins.FileNotFoundError(2, 'no such file')"},
		{Raise("ValueError", func() {}), "builtins.ValueError"},
		{fmt.Errorf("scoring: %w", Raise("ValueError", "x")), "builtins.ValueError('x')"},
		{errors.Join(errors.New("a"), Raise("ValueError", "x")), "builtins.ValueError('x')"},
		{errors.New("plain"), "builtins.Exception('plain')"},
		{fmt.Errorf("why: %w", errors.New("plain")), "builtins.Exception('why: plain')"},
		{number, `celery.exceptions.NumError('strconv.Atoi: parsing "x": invalid syntax')`},
		{&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}, "celery.exceptions.PathError('open /x: file does not exist')"},
		{fmt.Errorf("a: %w, b: %w", errors.New("x"), number), `celery.exceptions.NumError('a: x, b: strconv.Atoi: parsing "x": invalid syntax')`},
		{context.DeadlineExceeded, "builtins.TimeoutError('context deadline exceeded')"},
		{fmt.Errorf("x: %w", context.Canceled), "CancelledError('x: context canceled')"},
		{generic[int]{7}, "Exception('7')"},
		{&Panic{Value: "boom"}, "celery.exceptions.GoPanic('panic: boom')"},
		{&Panic{Value: Raise("ValueError", "x")}, "builtins.ValueError('x')"},
		{nothing, "celery.exceptions.GoPanic('panic: runtime error: invalid memory address or nil pointer dereference, while describing an error of type *fs.PathError')"},
	}
	var documents []protocol.Raw
	for _, c := range cases {
		x := ExceptionOf(c.err)
		documents = append(documents, x.Raw())
	}
	for _, version := range []string{testenv.Celery57, testenv.Celery52} {
		out := testenv.Python(t, version).Run(t.TempDir(), nil, string(protocol.Array(documents)), "-c", `
import json, sys
from celery import Celery
backend = Celery(backend="cache+memory://").backend
for document in json.load(sys.stdin):
    e = backend.exception_to_python(document)
    print(type(e).__module__ + "." + type(e).__qualname__ + repr(e.args))
`)
		lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
		if len(lines) != len(cases) {
			t.Fatalf("%d answers to %d cases", len(lines), len(cases))
		}
		for i, line := range lines {
			if got := strings.ReplaceAll(line, ",)", ")"); !strings.Contains(got, strings.ReplaceAll(cases[i].want, ",)", ")")) {
				t.Errorf("Celery %s: %s becomes %s, want %s", version, documents[i], got, cases[i].want)
			}
		}
	}
}

// TestBackoffAsInCelery compares the pauses with get_exponential_backoff_interval, the random part at both its ends.
func TestBackoffAsInCelery(t *testing.T) {
	var cases [][4]int // retry_backoff, retry_backoff_max, retries, 0: no jitter, 1: the least, 2: the most
	for _, backoff := range []int{1, 2, 7, 60, 1000} {
		for _, most := range []int{1, 10, 600, 86400} {
			for _, retries := range []int{0, 1, 2, 3, 5, 9, 10, 31, 62, 63, 64, 200} {
				for jitter := range 3 {
					cases = append(cases, [4]int{backoff, most, retries, jitter})
				}
			}
		}
	}
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, string(input), "-c", `
import json, random, sys
from celery.utils.time import get_exponential_backoff_interval
for backoff, most, retries, jitter in json.load(sys.stdin):
    random.randrange = lambda n: 0 if jitter == 1 else n - 1
    print(get_exponential_backoff_interval(int(max(1.0, float(backoff))), retries, most, jitter > 0))
`)
	lines := strings.Fields(out)
	if len(lines) != len(cases) {
		t.Fatalf("%d answers to %d cases", len(lines), len(cases))
	}
	for i, c := range cases {
		p := RetryPolicy{RetryBackoff: time.Duration(c[0]) * time.Second, RetryBackoffMax: time.Duration(c[1]) * time.Second, NoJitter: c[3] == 0}
		got := p.AutoDelay(c[2], func(n int64) int64 {
			if c[3] == 1 {
				return 0
			}
			return n - 1
		})
		if want := lines[i] + "s"; fmt.Sprintf("%ds", got/time.Second) != want {
			t.Errorf("backoff %d, max %d, retries %d, jitter %d: %s, Celery %s", c[0], c[1], c[2], c[3], got, want)
		}
	}
}

// TestAWrongCallInAPythonWorker shows the model: the call itself raises in the worker, with the function's name, and not the task's.
func TestAWrongCallInAPythonWorker(t *testing.T) {
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, "", "-c", `
from celery import Celery
from celery.app.trace import build_tracer
app = Celery(backend="cache+memory://", broker="memory://")
@app.task(name="tasks.add")
def add(x, y): pass
for i, (args, kwargs) in enumerate([((1,), {}), ((1, 2, 3), {}), ((1,), {"x": 2}), ((1, 2), {"z": 3})]):
    build_tracer("tasks.add", app.tasks["tasks.add"], app=app)(str(i), args, kwargs, {"id": str(i)})
    e = app.AsyncResult(str(i)).result
    print(f"{type(e).__name__}: {e}")
`)
	run, err := Typed("tasks.add", func(_ context.Context, in add) (int, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range []struct {
		args   []protocol.Raw
		kwargs protocol.Object
	}{
		{args: raws("1")}, {args: raws("1", "2", "3")},
		{args: raws("1"), kwargs: protocol.Object{{Name: "x", Value: protocol.Raw("2")}}},
		{args: raws("1", "2"), kwargs: protocol.Object{{Name: "z", Value: protocol.Raw("3")}}},
	} {
		_, err := run(t.Context(), c.args, c.kwargs)
		got = append(got, fmt.Sprint(err))
	}
	if want := strings.Split(strings.TrimRight(out, "\n"), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("Go     %q\nPython %q", got, want)
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	p := RetryPolicy{
		AutoretryFor:     func(error) bool { return true },
		DontAutoretryFor: func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
	}
	for _, err := range []error{ErrIgnore, fmt.Errorf("x: %w", ErrIgnore), Reject("no", false), Retry(nil), RetryIn(0, nil), fs.ErrNotExist} {
		if p.Auto(err) {
			t.Errorf("%v is tried again by itself", err)
		}
	}
	if !p.Auto(errors.New("x")) || (RetryPolicy{}).Auto(errors.New("x")) {
		t.Error("autoretry_for does not decide")
	}
	if (RetryPolicy{}).Max() != 3 || (RetryPolicy{MaxRetries: new(0)}).Max() != 0 || (RetryPolicy{MaxRetries: new(-1)}).Max() != -1 {
		t.Error("max_retries is wrong")
	}
}
