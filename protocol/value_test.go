package protocol

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/testenv"
)

// tagged writes a value with the names of its Python types, as oracle.py does.
func tagged(value any) string {
	switch v := value.(type) {
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = tagged(v[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *Map:
		parts := make([]string, len(v.Members))
		for i, member := range v.Members {
			parts[i] = tagged(member.Name) + ":" + tagged(member.Value)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("%s(%s)", pythonType(value), appendRepr(nil, value))
}

func pythonType(value any) string {
	switch value.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []byte:
		return "bytes"
	case DateTime:
		return "datetime"
	case Date:
		return "date"
	case TimeOfDay:
		return "time"
	case Decimal:
		return "Decimal"
	case uuid.UUID:
		return "UUID"
	}
	return fmt.Sprintf("%T", value)
}

const randomCases = 4000

func randomTexts(seed uint64, n, depth int) (texts, encoded []string) {
	r := newRandomValues(seed)
	r.repeat = true
	for range n {
		text := r.value(depth)
		texts, encoded = append(texts, text), append(encoded, toBase64(text))
	}
	return texts, encoded
}

func TestParseValueReadsWhatPythonReads(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	texts, encoded := randomTexts(1, randomCases, 4)
	for i, want := range ask(p, "tagged", encoded) {
		value, err := ParseValue(Raw(texts[i]), Limits{})
		if want.Error != "" || err != nil {
			t.Errorf("%s\nPython: %q, we: %v", texts[i], want.Error, err)
			continue
		}
		if got := tagged(value); got != string(want.bytes(t)) {
			t.Errorf("%s\nPython: %s\nwe:     %s", texts[i], want.bytes(t), got)
		}
	}
}

func TestMarshalWritesWhatPythonWrites(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	texts, encoded := randomTexts(2, randomCases, 4)
	for i, want := range ask(p, "rejson", encoded) {
		value, err := ParseValue(Raw(texts[i]), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Marshal(value)
		if err != nil || string(got) != string(want.bytes(t)) {
			t.Errorf("%s\nPython: %s\nwe:     %s, %v", texts[i], want.bytes(t), got, err)
		}
	}
}

func TestReprIsPythons(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	texts, encoded := randomTexts(3, randomCases, 4)
	for i, want := range ask(p, "repr", encoded) {
		if got := Repr(Raw(texts[i]), 0); got != string(want.bytes(t)) {
			t.Errorf("%s\nPython: %s\nwe:     %s", texts[i], want.bytes(t), got)
		}
	}
}

func TestReprIsCutAsCelerysSaferepr(t *testing.T) {
	type question struct {
		Value string `json:"value"`
		Max   int    `json:"max"`
	}
	p := startPython(t, testenv.Celery57)
	r := newRandomValues(4)
	var texts []string
	var questions, tuples []question
	for range randomCases {
		elements := make([]string, r.IntN(6))
		for i := range elements {
			elements[i] = r.value(5)
		}
		text := "[" + strings.Join(elements, ", ") + "]"
		texts = append(texts, text)
		questions = append(questions, question{toBase64(text), 1 + r.IntN(120)})
		tuples = append(tuples, question{toBase64(text), 1 + r.IntN(120)})
	}
	for i, want := range ask(p, "saferepr", questions) {
		if got := Repr(Raw(texts[i]), questions[i].Max); got != string(want.bytes(t)) {
			t.Errorf("%d: %s\nPython: %s\nwe:     %s", questions[i].Max, texts[i], want.bytes(t), got)
		}
	}
	for i, want := range ask(p, "saferepr_tuple", tuples) {
		args, err := Raw(texts[i]).Elements()
		if err != nil {
			t.Fatal(err)
		}
		if got := ReprArgs(args, tuples[i].Max); got != string(want.bytes(t)) {
			t.Errorf("%d: %s\nPython: %s\nwe:     %s", tuples[i].Max, texts[i], want.bytes(t), got)
		}
	}
}

func TestParseValueRefusesWhatPythonRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{``, ErrSyntax}, {`{`, ErrSyntax}, {`[1,]`, ErrSyntax}, {`01`, ErrSyntax}, {`"\x"`, ErrSyntax}, {"\"\n\"", ErrSyntax}, {`{"a" 1}`, ErrSyntax},
		{`{"a": 1,}`, ErrSyntax}, {`nul`, ErrSyntax}, {`1 2`, ErrSyntax}, {"\"\xff\"", ErrSyntax}, {`{1: 2}`, ErrSyntax},
		{`{"__type__": "complex", "__value__": "1j"}`, ErrType},
		{`{"__type__": "datetime", "__value__": "yesterday"}`, ErrType},
		{`{"__type__": "datetime", "__value__": 5}`, ErrType},
		{`{"__type__": ["datetime"], "__value__": "2020-01-01"}`, ErrType},
		{`{"__type__": "date", "__value__": "2020-02-30"}`, ErrType},
		{`{"__type__": "time", "__value__": "25:00:00"}`, ErrType},
		{`{"__type__": "decimal", "__value__": "one"}`, ErrType},
		{`{"__type__": "uuid", "__value__": {"hex": "12"}}`, ErrType},
		{`{"__type__": "uuid", "__value__": "5d4f"}`, ErrType},
		{`{"__type__": "base64", "__value__": "a"}`, ErrType},
		{`{"__type__": "bytes", "__value__": "\ud800"}`, ErrType},
		{strings.Repeat("[", 600) + strings.Repeat("]", 600), ErrTooDeep},
		{strings.Repeat(`{"a":`, 600) + "1" + strings.Repeat("}", 600), ErrTooDeep},
		{strings.Repeat("1", maxIntDigits+1), ErrTooLarge},
	} {
		if value, err := ParseValue(Raw(c.text), Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%.80s: %v, %v", c.text, value, err)
		}
	}
}

func TestParseValueStopsAtItsMemoryLimit(t *testing.T) {
	text := "[" + strings.Repeat("[],", 1<<20) + "[]]"
	if _, err := ParseValue(Raw(text), Limits{MaxBody: 4 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a million empty lists: %v", err)
	}
}

func TestTypedValuesNeedExactlyTheirTwoKeys(t *testing.T) {
	for _, text := range []string{
		`{"__type__": "datetime"}`, `{"__value__": 1}`, `{"__type__": "complex", "__value__": 1, "more": 2}`, `{"__type__": "a", "__type__": "b"}`,
	} {
		if value, err := ParseValue(Raw(text), Limits{}); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if _, ok := value.(*Map); !ok {
			t.Errorf("%s became %T", text, value)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	r := newRandomValues(5)
	for range 100 {
		f.Add([]byte(r.value(4)))
	}
	f.Add([]byte(`{"__type__": "uuid", "__value__": {"int": 5}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := ParseValue(Raw(data), Limits{MaxBody: 1 << 20})
		if err != nil {
			return
		}
		written, err := Marshal(value)
		if err != nil {
			t.Fatalf("%q was read as %#v and cannot be written: %v", data, value, err)
		}
		again, err := ParseValue(written, Limits{MaxBody: 1 << 20})
		if err != nil {
			t.Fatalf("%q was written as %q, which cannot be read: %v", data, written, err)
		}
		if a, b := tagged(value), tagged(again); a != b {
			t.Errorf("%q was written as %q\n%s\n%s", data, written, a, b)
		}
	})
}

func FuzzRepr(f *testing.F) {
	r := newRandomValues(6)
	for range 100 {
		f.Add([]byte(r.value(5)), 1+r.IntN(100))
	}
	f.Fuzz(func(t *testing.T, data []byte, most int) {
		Repr(Raw(data), 0)
		most = 1 + max(0, most)%2000
		// Each of at most four open levels may cut a token, and quotes and escapes are not counted.
		if got := characters(Repr(Raw(data), most)); got > 4*most+100 {
			t.Errorf("%d characters for a limit of %d", got, most)
		}
	})
}

func BenchmarkReprArgs(b *testing.B) {
	args := []Raw{Raw("1"), Raw(`{"region": "north", "cells": [1, 2.5, null]}`), Raw("[" + strings.Repeat(`"a text of some length", `, 5000) + "0]")}
	b.ReportAllocs()
	for b.Loop() {
		ReprArgs(args, 1024)
	}
}
