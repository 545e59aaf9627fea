package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
)

// signature is a random parameter list, as a Python def and as a Go struct.
type signature struct {
	Def  string `json:"def"`
	Args []int  `json:"args"`
	// Kwargs are the call's keyword arguments, in order.
	Kwargs [][2]any `json:"kwargs"`
	binder *binder
	t      reflect.Type
}

func randomSignature(t *testing.T, random *rand.Rand) signature {
	t.Helper()
	var fields []reflect.StructField
	var params, names []string
	add := func(name string, optional bool, extra string) {
		tag := fmt.Sprintf(`json:"%s"`, name)
		text := name
		if optional {
			tag += ` default:"0"`
			text += "=0"
		}
		fields = append(fields, reflect.StructField{Name: strings.ToUpper(name), Type: reflect.TypeFor[int](), Tag: reflect.StructTag(tag + extra)})
		params, names = append(params, text), append(names, name)
	}
	positional, defaults := random.IntN(7), random.IntN(4)
	for i := range positional {
		add(string(rune('a'+i)), i >= positional-defaults, "")
	}
	star := random.IntN(3) == 0
	if star {
		fields = append(fields, reflect.StructField{Name: "REST", Type: reflect.TypeFor[[]int](), Tag: `lovage:"args"`})
		params = append(params, "*rest")
	}
	if keywordOnly := random.IntN(5); keywordOnly > 0 {
		if !star {
			params = append(params, "*")
		}
		for i := range keywordOnly {
			add(string(rune('p'+i)), random.IntN(2) == 0, ` lovage:"kwonly"`)
		}
	}
	if random.IntN(4) == 0 {
		fields = append(fields, reflect.StructField{Name: "MORE", Type: reflect.TypeFor[map[string]int](), Tag: `lovage:"kwargs"`})
		params = append(params, "**more")
	}
	s := signature{Def: "def f(" + strings.Join(params, ", ") + "): pass", t: reflect.StructOf(fields), Kwargs: [][2]any{}, Args: []int{}}
	var err error
	if s.binder, err = newBinder("x.f", s.t); err != nil {
		t.Fatalf("%s: %v", s.Def, err)
	}
	for n := random.IntN(9); n > 0; n-- {
		s.Args = append(s.Args, n)
	}
	used := map[string]bool{}
	for range random.IntN(4) {
		name := "zz"
		if len(names) > 0 && random.IntN(4) > 0 {
			name = names[random.IntN(len(names))]
		}
		if !used[name] {
			used[name] = true
			s.Kwargs = append(s.Kwargs, [2]any{name, 1})
		}
	}
	return s
}

// TestCallsFailAsInPython compares the outcome of random calls of random signatures with Python's, word for word.
func TestCallsFailAsInPython(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	cases := make([]signature, 3000)
	for i := range cases {
		cases[i] = randomSignature(t, random)
	}
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, string(input), "-c", `
import json, sys
for case in json.load(sys.stdin):
    space = {}
    exec(case["def"], space)
    try:
        space["f"](*case["args"], **dict(case["kwargs"]))
        print("ok")
    except TypeError as e:
        print(e)
`)
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	failures := 0
	for i, s := range cases {
		var args []protocol.Raw
		for _, n := range s.Args {
			args = append(args, protocol.Raw(fmt.Sprint(n)))
		}
		var kwargs protocol.Object
		for _, pair := range s.Kwargs {
			kwargs = append(kwargs, protocol.Member{Name: pair[0].(string), Value: protocol.Raw("1")})
		}
		got := "ok"
		if err := s.binder.bind(reflect.New(s.t).Elem(), args, kwargs); err != nil {
			got = strings.TrimPrefix(err.Error(), "TypeError: ")
			failures++
		}
		if got != lines[i] {
			t.Errorf("%s called with %v %v:\nGo     %s\nPython %s", s.Def, s.Args, s.Kwargs, got, lines[i])
		}
	}
	if failures < len(cases)/4 {
		t.Errorf("only %d of %d calls failed: the comparison says little", failures, len(cases))
	}
}

func TestValuesBind(t *testing.T) {
	for _, row := range []struct {
		target any
		raw    string
		want   string // "" means an error
	}{
		{int8(0), "127", "127"}, {int8(0), "128", ""}, {uint(0), "-1", ""}, {0, "2.0", "2"}, {0, "2.5", ""}, {0, "true", ""}, {0, "null", ""}, {0, `"1"`, ""},
		{0.0, "1", "1"}, {0.0, "NaN", "NaN"}, {0.0, "-Infinity", "-Inf"}, {"", `"ü"`, "ü"}, {"", "1", ""}, {false, "true", "true"}, {false, "1", ""},
		{[]int(nil), "[1, 2]", "[1 2]"}, {[]int(nil), `[1, "x"]`, ""}, {[2]int{}, "[1, 2]", "[1 2]"}, {[2]int{}, "[1]", ""},
		{map[string]int(nil), `{"a": 1}`, "map[a:1]"}, {map[int]string(nil), `{"1": "x"}`, "map[1:x]"},
		{[]byte(nil), `{"__type__": "bytes", "__value__": "abc"}`, "[97 98 99]"}, {[]byte(nil), `{"__type__": "base64", "__value__": "/w=="}`, "[255]"},
	} {
		assign, err := newAssigner(reflect.TypeOf(row.target))
		if err != nil {
			t.Fatal(err)
		}
		value := reflect.New(reflect.TypeOf(row.target)).Elem()
		err = assign.assign(value, protocol.Raw(row.raw))
		if got := fmt.Sprint(value.Interface()); (err == nil) != (row.want != "") || err == nil && got != row.want {
			t.Errorf("%s into %T gives %s, %v; want %q", row.raw, row.target, got, err, row.want)
		}
	}
}

func TestUnusableParametersAreRefused(t *testing.T) {
	if _, err := Typed("t", func(context.Context, struct{ C chan int }) (int, error) { return 0, nil }); err == nil {
		t.Error("a channel was taken")
	}
	if _, err := Typed("t", func(context.Context, struct {
		A int `default:"1"`
		B int
	}) (int, error) {
		return 0, nil
	}); err == nil {
		t.Error("a parameter without default behind one with default was taken")
	}
	if _, err := Typed("t", func(context.Context, struct {
		A int `default:"x"`
	}) (int, error) {
		return 0, nil
	}); err == nil {
		t.Error("a default of the wrong type was taken")
	}
}

func TestRetryDelays(t *testing.T) {
	full := func(n int64) int64 { return n - 1 }
	p := RetryPolicy{RetryBackoff: 1e9}
	for retries, want := range []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600} {
		if got := p.AutoDelay(retries, full).Seconds(); got != want {
			t.Errorf("after %d retries: %g s, want %g", retries, got, want)
		}
	}
	if got := (RetryPolicy{}).AutoDelay(3, full).Seconds(); got != 180 {
		t.Errorf("without backoff: %g s", got)
	}
}
