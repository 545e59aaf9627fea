package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

type inner struct {
	A     int    `json:"a"`
	Same  string // hidden by the outer field of that name
	Deep  *inner `json:"deep,omitempty"`
	Twice int
}

type other struct{ Twice, Only int }

type hidden struct{ Shown string }

type level string

func (l level) MarshalText() ([]byte, error) { return []byte("level " + string(l)), nil }

type custom1 struct{ n int }

func (c *custom1) MarshalJSON() ([]byte, error) { return []byte(`{"n":7}`), nil }

type everything struct {
	inner
	*other
	hidden
	Same      string
	unseen    int                //lint:ignore U1000 encoding/json does not see it either
	Skipped   int                `json:"-"`
	Dash      int                `json:"-,"` //lint:ignore SA5008 the odd name is the point
	Named     string             `json:"named"`
	Empty     string             `json:",omitempty"`
	EmptyTime *time.Duration     `json:",omitempty"`
	ZeroInt   int                `json:",omitzero"`
	Struct    struct{ X int }    `json:",omitempty"`
	Quoted    int                `json:",string"`
	QuotedS   string             `json:"qs,string"`
	List      []int              `json:"list"`
	Nil       []int              `json:"nil"`
	Array     [2]bool            `json:"array"`
	Map       map[string]any     `json:"map"`
	IntMap    map[int]string     `json:"int_map"`
	TextMap   map[level]int      `json:"text_map"`
	Any       any                `json:"any"`
	Level     level              `json:"level"`
	Custom    *custom1           `json:"custom"`
	Value     custom1            `json:"value"`
	Number    json.Number        `json:"number"`
	Message   json.RawMessage    `json:"message"`
	Pointers  []*inner           `json:"pointers"`
	Unsigned  uint64             `json:"unsigned"`
	Interface interface{ Foo() } `json:"interface"`
}

func TestMarshalFollowsEncodingJSON(t *testing.T) {
	value := &everything{
		inner: inner{A: 1, Same: "inner", Twice: 5, Deep: &inner{A: 2}}, hidden: hidden{"promoted"}, Same: "outer", Skipped: 1, Dash: 2,
		Named: "<é & \u2028>", Quoted: 12, QuotedS: `a"b`, List: []int{1, 2}, Map: map[string]any{"b": nil, "a": []any{"x", true}},
		IntMap: map[int]string{10: "ten", 9: "nine"}, TextMap: map[level]int{"z": 1, "b": 2}, Any: map[string]int{"k": 1}, Level: "high",
		Custom: &custom1{1}, Value: custom1{2}, Number: "123456789012345678901234567890", Message: json.RawMessage(`[1,{"a":2}]`),
		Pointers: []*inner{nil, {A: 3}}, Unsigned: math.MaxUint64,
	}
	for _, other := range []*other{nil, {Twice: 1, Only: 2}} {
		value.other = other
		want, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := canonicalJSON(t, want), canonicalJSON(t, got); a != b {
			t.Errorf("encoding/json: %s\nwe:            %s", a, b)
		}
		if again, err := (Marshaler{}).Cached().Marshal(value); err != nil || string(again) != string(got) {
			t.Errorf("cached: %s, %v", again, err)
		}
	}
}

// canonicalJSON is JSON with the spaces and escapes of one writer; the order of members is kept.
func canonicalJSON(t *testing.T, data []byte) string {
	t.Helper()
	value, err := ParseValue(Raw(data), Limits{})
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return tagged(value)
}

func TestMarshalWritesPythonsValues(t *testing.T) {
	id := uuid.MustParse("12345678-1234-5678-9abc-def012345678")
	at := time.Date(2026, 8, 5, 7, 8, 9, 10_999, time.FixedZone("", 19800))
	big70 := new(big.Int).Lsh(big.NewInt(1), 70)
	for _, c := range []struct {
		value any
		want  string
	}{
		{1.0, "1.0"}, {float32(0.1), "0.1"}, {float32(1e16), "1e+16"}, {1e-5, "1e-05"}, {math.NaN(), "NaN"}, {math.Inf(-1), "-Infinity"}, {math.Copysign(0, -1), "-0.0"},
		{big70, "1180591620717411303424"}, {*big70, "1180591620717411303424"}, {[]any{1, 1.0}, "[1, 1.0]"},
		{"\ud7ff\x7f<>&\"\\\u2028😀", `"\ud7ff\u007f<>&\"\\\u2028\ud83d\ude00"`}, {"\xed\xa0\x80", `"\ud800"`}, {"\xff", `"\ufffd"`},
		{at, `{"__type__": "datetime", "__value__": "2026-08-05T07:08:09.000010+05:30"}`},
		{at.UTC().Truncate(time.Second), `{"__type__": "datetime", "__value__": "2026-08-05T01:38:09+00:00"}`},
		{time.Time{}, `{"__type__": "datetime", "__value__": "0001-01-01T00:00:00+00:00"}`},
		{DateTime{Time: at.UTC(), Naive: true}, `{"__type__": "datetime", "__value__": "2026-08-05T01:38:09.000010"}`},
		{&at, `{"__type__": "datetime", "__value__": "2026-08-05T07:08:09.000010+05:30"}`},
		{Date("2026-08-05"), `{"__type__": "date", "__value__": "2026-08-05"}`}, {TimeOfDay("07:08:09"), `{"__type__": "time", "__value__": "07:08:09"}`},
		{Decimal("1E+3"), `{"__type__": "decimal", "__value__": "1E+3"}`}, {decimal.RequireFromString("1.10"), `{"__type__": "decimal", "__value__": "1.10"}`},
		{id, `{"__type__": "uuid", "__value__": {"hex": "12345678123456789abcdef012345678"}}`},
		{[]byte("é"), `{"__type__": "bytes", "__value__": "\u00e9"}`}, {[]byte{0xff, 0}, `{"__type__": "base64", "__value__": "/wA="}`}, {[]byte(nil), "null"},
		{struct{ At time.Time }{at}, `{"At": {"__type__": "datetime", "__value__": "2026-08-05T07:08:09.000010+05:30"}}`},
		{Raw(`{"a":1}`), `{"a":1}`}, {Raw(nil), "null"}, {Object{{"k", Raw("1.0")}}, `{"k": 1.0}`}, {map[string]Raw{"k": nil}, `{"k": null}`},
		{&Map{Members: []MapMember{{"z", 1}, {"a", []byte("x")}}}, `{"z": 1, "a": {"__type__": "bytes", "__value__": "x"}}`},
		{(*Map)(nil), "null"}, {(*time.Time)(nil), "null"}, {(*big.Int)(nil), "null"}, {[]string{}, "[]"}, {1500 * time.Millisecond, "1.5"}, {[]time.Duration{-time.Minute}, "[-60.0]"}, {map[string]int{}, "{}"}, {struct{}{}, "{}"},
	} {
		if got, err := Marshal(c.value); err != nil || string(got) != c.want {
			t.Errorf("%#v: %s, %v, want %s", c.value, got, err, c.want)
		}
	}
}

func TestMarshalRefusesWhatJSONHasNotAndPythonNeither(t *testing.T) {
	type cycle struct{ Next *cycle }
	loop := &cycle{}
	loop.Next = loop
	for _, value := range []any{
		make(chan int), func() {}, complex(1, 2), map[bool]int{true: 1}, map[[2]int]int{{}: 1}, loop, json.Number("1x"), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		[]any{struct{ C chan int }{make(chan int)}},
	} {
		if got, err := Marshal(value); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%T: %s, %v", value, got, err)
		}
	}
	if _, err := Marshal(json.RawMessage("[")); !errors.Is(err, ErrSyntax) {
		t.Errorf("broken JSON from a json.Marshaler: %v", err)
	}
}

func TestPlainTypesAreWhatOldKombuWrites(t *testing.T) {
	captured, err := filepath.Glob("testdata/plain-kombu-*.json")
	if err != nil || len(captured) < 2 {
		t.Fatalf("no golden data: %v, %v", captured, err)
	}
	for _, name := range captured {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var c struct{ Typed, Plain, Error string }
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				t.Fatal(err)
			}
			value, err := ParseValue(Raw(c.Typed), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range []any{value, Raw(c.Typed)} { // decoded, and as text that is passed on
				got, err := Marshaler{PlainTypes: true}.Marshal(value)
				switch {
				case c.Error != "":
					if !errors.Is(err, ErrUnsupported) {
						t.Errorf("%s: %s: %s, %v, kombu: %s", filepath.Base(name), c.Typed, got, err, c.Error)
					}
				case err != nil || string(got) != c.Plain:
					t.Errorf("%s: %s: %s, %v, kombu: %s", filepath.Base(name), c.Typed, got, err, c.Plain)
				}
			}
		}
	}
}

func BenchmarkMarshalStruct(b *testing.B) {
	type result struct {
		Region string    `json:"region"`
		Score  float64   `json:"score"`
		Cells  int       `json:"cells"`
		At     time.Time `json:"at"`
		Tags   []string  `json:"tags"`
	}
	value := result{"north", 0.25, 1000, time.Unix(1, 0).UTC(), []string{"hail", "storm"}}
	for name, m := range map[string]Marshaler{"plain": {}, "cached": Marshaler{}.Cached()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Marshal(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseValue(b *testing.B) {
	text := Raw("[" + strings.Repeat(`{"region": "north", "score": 0.25, "cells": [1, 2, 3], "at": null}, `, 20) + "1]")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseValue(text, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
