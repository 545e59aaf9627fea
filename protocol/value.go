package protocol

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// DateTime is Python's datetime: Naive when it has no offset.
type DateTime struct {
	time.Time
	Naive bool
}

// Date is Python's date, as its ISO text; TimeOfDay is Python's time, likewise.
type (
	Date      string
	TimeOfDay string
)

// Decimal is Python's decimal.Decimal, as its text: every digit and the exponent are kept.
type Decimal string

// Map is a JSON object with its values decoded, in order.
type Map struct{ Members []MapMember }

// MapMember is one name and value of a Map.
type MapMember struct {
	Name  string
	Value any
}

// Get finds a value by name.
func (m *Map) Get(name string) (any, bool) {
	for i := range m.Members {
		if m.Members[i].Name == name {
			return m.Members[i].Value, true
		}
	}
	return nil, false
}

// ParseValue decodes a value, kombu's types included, into nil, bool, int64, *big.Int (integers that do not fit), float64, string, []byte,
// DateTime, Date, TimeOfDay, Decimal, uuid.UUID, []any or *Map. An unknown __type__ is an error, as it is in Python.
func ParseValue(raw Raw, lim Limits) (any, error) {
	lim = lim.withDefaults()
	if err := raw.Valid(lim); err != nil {
		return nil, err
	}
	i := skipSpace(raw, 0)
	end, _ := scanValue(raw, i, lim.MaxDepth)
	return parseScanned(raw[i:end])
}

// parseScanned decodes text that the scanner has accepted.
func parseScanned(raw Raw) (any, error) {
	switch raw[0] {
	case '"':
		return unquote(raw), nil
	case '[':
		return parseArray(raw)
	case '{':
		return parseObject(raw)
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case 'n':
		return nil, nil
	case 'N':
		return math.NaN(), nil
	case 'I':
		return math.Inf(1), nil
	}
	return parseNumber(string(raw))
}

// parseNumber reads an integer exactly, or a float.
func parseNumber(text string) (any, error) {
	if text == "-Infinity" {
		return math.Inf(-1), nil
	}
	for i := range len(text) {
		if c := text[i]; c == '.' || c == 'e' || c == 'E' {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil && !math.IsInf(f, 0) { // out of range is inf, as in Python
				return nil, fmt.Errorf("%w number %s", ErrSyntax, text)
			}
			return f, nil
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, fmt.Errorf("%w number %s", ErrSyntax, text)
	}
	return n, nil
}

func parseArray(raw Raw) (any, error) {
	elements := []any{}
	_, err := walkArray(raw, 0, maxNesting, func(start, end int) error {
		element, err := parseScanned(raw[start:end])
		elements = append(elements, element)
		return err
	})
	return elements, err
}

func parseObject(raw Raw) (any, error) {
	members, err := raw.Members()
	if err != nil {
		return nil, err
	}
	if typed, value, ok := typedValue(members); ok {
		return parseTyped(typed, value)
	}
	m := &Map{Members: make([]MapMember, len(members))}
	for i, member := range members {
		value, err := parseScanned(member.Value)
		if err != nil {
			return nil, err
		}
		m.Members[i] = MapMember{member.Name, value}
	}
	return m, nil
}

// typedValue recognizes kombu's {"__type__": t, "__value__": v}: exactly these two keys.
func typedValue(members Object) (typed, value Raw, ok bool) {
	if len(members) != 2 {
		return nil, nil, false
	}
	typed, ok1 := members.Get("__type__")
	value, ok2 := members.Get("__value__")
	return typed, value, ok1 && ok2
}

// parseTyped decodes kombu's typed values (kombu/utils/json.py).
func parseTyped(typed, value Raw) (any, error) {
	name, ok := typed.Text()
	if !ok {
		return nil, fmt.Errorf("%w: __type__ is not a string", ErrType)
	}
	if name == "uuid" {
		return parseUUID(value)
	}
	text, ok := value.Text()
	if !ok {
		return nil, fmt.Errorf("%w: the value of a %s is not a string", ErrType, name)
	}
	switch name {
	case "datetime":
		t, err := ParseTime(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a datetime", ErrType, text)
		}
		return DateTime(t), nil
	case "date":
		t, err := ParseTime(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a date", ErrType, text)
		}
		return Date(t.Format(time.DateOnly)), nil
	case "time":
		if _, err := ParseTime("2000-01-01T" + text); err != nil {
			return nil, fmt.Errorf("%w: %q is not a time", ErrType, text)
		}
		return TimeOfDay(text), nil
	case "decimal":
		return Decimal(text), nil
	case "bytes":
		return []byte(text), nil
	case "base64":
		data, err := decodeBase64([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrType, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: __type__ %q is unknown", ErrType, name)
}

func parseUUID(value Raw) (any, error) {
	text, ok := value.Text()
	if !ok {
		members, err := optionalObject(value)
		if err != nil {
			return nil, fmt.Errorf("%w: a uuid without hex", ErrType)
		}
		text = members.Text("hex")
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrType, err)
	}
	return id, nil
}

// typedRaw writes a typed value as kombu does.
func typedRaw(name, text string) Raw {
	out := append([]byte(`{"__type__": "`), name...)
	out = append(out, `", "__value__": `...)
	return append(appendQuoted(out, text), '}')
}

// bytesValue writes Python bytes as kombu's JSON does: as text where they are UTF-8, else as base64.
func bytesValue(data []byte) Raw {
	if utf8.Valid(data) {
		return typedRaw("bytes", string(data))
	}
	return typedRaw("base64", base64.StdEncoding.EncodeToString(data))
}
