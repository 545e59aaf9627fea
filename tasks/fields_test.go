package tasks

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/lovage-go/lovage/protocol"
)

type Common struct {
	Region string
	Days   int `default:"7"`
}

type Score float64

type Level int

// UnmarshalText reads low and high.
func (l *Level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New("neither low nor high")
	}
	return nil
}

type hidden struct{ X int }

func raws(texts ...string) []protocol.Raw {
	list := make([]protocol.Raw, len(texts))
	for i, text := range texts {
		list[i] = protocol.Raw(text)
	}
	return list
}

// call binds one call of a handler with the parameters In and shows what the handler gets.
func call[In any](t *testing.T, args []protocol.Raw, kwargs protocol.Object) string {
	t.Helper()
	run, err := Typed("x.f", func(_ context.Context, in In) (string, error) { return fmt.Sprintf("%+v", in), nil })
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t.Context(), args, kwargs)
	if err != nil {
		return err.Error()
	}
	text, _ := out.Text()
	return text
}

func TestEmbeddedStructsAreParametersInTheirPlace(t *testing.T) {
	type byValue struct {
		First int
		Common
	}
	if got := call[byValue](t, raws("1", `"north"`, "3"), nil); got != "{First:1 Common:{Region:north Days:3}}" {
		t.Error(got)
	}
	type byPointer struct{ *Common }
	run, err := Typed("x.f", func(_ context.Context, in byPointer) (string, error) { return fmt.Sprint(in.Region, in.Days), nil })
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t.Context(), nil, protocol.Object{{Name: "region", Value: protocol.Raw(`"south"`)}})
	if err != nil || string(out) != `"south7"` {
		t.Error(string(out), err)
	}
	type named struct {
		Score
		Common `json:"common"`
	}
	if got := call[named](t, raws("2", `{"Region": "x", "days": 1}`), nil); got != "{Score:2 Common:{Region:x Days:1}}" {
		t.Error(got)
	}
	if _, err := Typed("x.f", func(context.Context, struct{ *hidden }) (int, error) { return 0, nil }); !errors.Is(err, ErrParameters) {
		t.Errorf("an embedded pointer that cannot be set gives %v", err)
	}
}

func TestAPointerToAStructIsAParameterList(t *testing.T) {
	run, err := Typed("x.f", func(_ context.Context, in *add) (int, error) { return in.X + in.Y, nil })
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(t.Context(), raws("1", "2"), nil); err != nil || string(out) != "3" {
		t.Error(string(out), err)
	}
}

func TestOneParameterOrNone(t *testing.T) {
	if got := call[int](t, raws("5"), nil); got != "5" {
		t.Error(got)
	}
	if got := call[[]string](t, raws(`["a", "b"]`), nil); got != "[a b]" {
		t.Error(got)
	}
	if got := call[int](t, nil, nil); got != "TypeError: f() missing 1 required positional argument: 'value'" {
		t.Error(got)
	}
	if got := call[struct{}](t, raws("1"), nil); got != "TypeError: f() takes 0 positional arguments but 1 was given" {
		t.Error(got)
	}
}

func TestNamesOfParameters(t *testing.T) {
	type params struct {
		RegionCode string
		HTTPPort   int `default:"80"`
		N          int `json:"n_days,omitempty"`
	}
	for _, name := range []string{"region_code", "RegionCode"} {
		if got := call[params](t, nil, protocol.Object{{Name: name, Value: protocol.Raw(`"N1"`)}, {Name: "http_port", Value: protocol.Raw("81")}}); got != "{RegionCode:N1 HTTPPort:81 N:0}" {
			t.Errorf("%s: %s", name, got)
		}
	}
	both := protocol.Object{{Name: "region_code", Value: protocol.Raw(`"a"`)}, {Name: "RegionCode", Value: protocol.Raw(`"b"`)}}
	if got := call[params](t, nil, both); got != "TypeError: f() got multiple values for argument 'RegionCode'" {
		t.Error(got)
	}
	if _, err := Typed("x.f", func(context.Context, struct {
		A int
		B int `json:"a"`
	}) (int, error) {
		return 0, nil
	}); !errors.Is(err, ErrParameters) {
		t.Errorf("two parameters of one name give %v", err)
	}
}

func TestADefaultIsMadeAnewForEachCall(t *testing.T) {
	type params struct {
		List []int `default:"[1, 2]"`
	}
	run, err := Typed("x.f", func(_ context.Context, in params) (int, error) {
		in.List[0]++
		return in.List[0], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out, err := run(t.Context(), nil, nil); err != nil || string(out) != "2" {
			t.Fatal(string(out), err)
		}
	}
}

// TestMoreParametersThanAreTrackedOnTheStack covers the path of long parameter lists.
func TestMoreParametersThanAreTrackedOnTheStack(t *testing.T) {
	var fields []reflect.StructField
	for i := range maxSmall + 4 {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("P%d", i), Type: reflect.TypeFor[int]()})
	}
	list := reflect.StructOf(fields)
	b, err := newBinder("f", list)
	if err != nil {
		t.Fatal(err)
	}
	var args []protocol.Raw
	for i := range maxSmall + 4 {
		args = append(args, protocol.Raw(fmt.Sprint(i)))
	}
	value := reflect.New(list).Elem()
	if err := b.bind(value, args, nil); err != nil || value.Field(maxSmall+3).Int() != maxSmall+3 {
		t.Error(value, err)
	}
	if err := b.bind(value, args[1:], nil); err == nil || err.Error() != "TypeError: f() missing 1 required positional argument: 'p19'" {
		t.Error(err)
	}
}

// TestWrongValues: another type is a TypeError, a value of the right type that does not do a ValueError; both name function and argument.
func TestWrongValues(t *testing.T) {
	type every struct {
		Integer int8            `json:"integer,omitempty"`
		Small   float32         `json:"small,omitempty"`
		At      time.Time       `json:"at,omitempty"`
		ID      uuid.UUID       `json:"id,omitempty"`
		Price   decimal.Decimal `json:"price,omitempty"`
		Big     *big.Int        `json:"big"`
		Level   Level           `json:"level,omitempty"`
		Pause   time.Duration   `json:"pause,omitempty"`
		Pair    [2]int          `json:"pair,omitempty"`
		List    []int           `json:"list,omitempty"`
		Inner   add             `json:"inner,omitempty"`
	}
	for _, row := range [][3]string{
		{"integer", `"1"`, "TypeError"}, {"integer", "1.5", "TypeError"}, {"integer", "null", "TypeError"}, {"integer", "true", "TypeError"},
		{"integer", "-Infinity", "TypeError"}, {"integer", "NaN", "TypeError"}, {"integer", "200", "ValueError"}, {"integer", "1e3", "ValueError"}, {"integer", "1.0", ""},
		{"small", "1e300", "ValueError"}, {"small", "Infinity", ""}, {"small", `"1"`, "TypeError"},
		{"at", `"2026-01-02T03:04:05"`, ""}, {"at", `"yesterday"`, "ValueError"}, {"at", "1", "TypeError"}, {"at", "null", "TypeError"},
		{"id", `"no"`, "ValueError"}, {"id", "1", "TypeError"}, {"price", `"1.10"`, ""}, {"price", "1.10", ""}, {"price", `"x"`, "ValueError"}, {"price", "[]", "TypeError"},
		{"big", "null", ""}, {"big", "123456789012345678901234567890", ""}, {"big", "1.5", "TypeError"},
		{"level", `"high"`, ""}, {"level", `"middling"`, "ValueError"}, {"level", "[]", "TypeError"},
		{"pause", "1.5", ""}, {"pause", "NaN", "ValueError"}, {"pause", "1e30", "ValueError"}, {"pause", `"1"`, "TypeError"},
		{"pair", "[1]", "ValueError"}, {"pair", "{}", "TypeError"}, {"list", "null", ""}, {"list", `{}`, "TypeError"}, {"list", `[1, "x"]`, "TypeError"},
		{"inner", "[]", "TypeError"}, {"inner", `{"X": 1, "unknown": 2}`, ""}, {"inner", `{"x": "1"}`, "TypeError"},
	} {
		got := call[every](t, nil, protocol.Object{{Name: row[0], Value: protocol.Raw(row[1])}})
		want := "{"
		if row[2] != "" {
			want = fmt.Sprintf("%s: f() argument '%s': ", row[2], row[0])
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s=%s gives %s; want %s", row[0], row[1], got, row[2])
		}
	}
}

// TestTextBindsToTimeAsInPython: datetime.fromisoformat decides what is a datetime.
func TestTextBindsToTimeAsInPython(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02": "2026-01-02T00:00:00Z", "2026-01-02T03:04:05.000006+02:00": "2026-01-02T03:04:05.000006+02:00", "20260102T030405Z": "2026-01-02T03:04:05Z",
		"2026-W01-5": "2026-01-02T00:00:00Z", "0000-01-01": "", "2026-02-30": "", "": "",
	} {
		var at time.Time
		err := assignTime(reflect.ValueOf(&at).Elem(), protocol.Quote(text))
		if want == "" {
			if !errors.Is(err, errValue) {
				t.Errorf("%q gives %s, %v", text, at, err)
			}
		} else if err != nil || at.Format(time.RFC3339Nano) != want {
			t.Errorf("%q gives %s, %v; want %s", text, at, err, want)
		}
	}
}
