package protocol

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// ErrUnsupported says that a Go value has no JSON form: a channel, a function, a complex number, a map with odd keys, a cycle, a year that Python has not.
var ErrUnsupported = errors.New("value cannot be written as JSON")

// Marshaler writes Go values as JSON text that kombu reads. The zero value writes what kombu 5.3 and later write.
type Marshaler struct {
	// PlainTypes writes datetimes, dates, times, decimals and uuids as kombu before 5.3 did, as strings, for a Python side of that age does not
	// know the typed form. It had no form for bytes: they are ErrUnsupported then, as they were a TypeError.
	PlainTypes bool

	plans *sync.Map
}

// Cached is the same Marshaler with a memory for the layout of structs, for whoever writes the same types again and again.
func (m Marshaler) Cached() Marshaler {
	m.plans = &sync.Map{}
	return m
}

// Marshal writes a Go value as kombu 5.3 and later would write the like Python value: time.Time as datetime, []byte as bytes, uuid.UUID,
// decimal.Decimal and Decimal as theirs, time.Duration in seconds (a float), *big.Int as an integer, floats with a point, NaN and the infinities as Python does, structs by their json
// tags with encoding/json's rules, maps sorted by key. A json.Marshaler or encoding.TextMarshaler is asked.
func Marshal(v any) (Raw, error) { return Marshaler{}.Marshal(v) }

// Marshal writes a Go value.
func (m Marshaler) Marshal(v any) (Raw, error) {
	switch v := v.(type) { // the common results, without reflection
	case nil:
		return Raw("null"), nil
	case bool:
		return strconv.AppendBool(nil, v), nil
	case int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	case float64:
		return AppendFloat(nil, v), nil
	case string:
		return Quote(v), nil
	}
	out, err := m.append(nil, reflect.ValueOf(v), 0)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return out, nil
}

// maxMarshalDepth stops at cycles.
const maxMarshalDepth = 1000

func (m Marshaler) append(out []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxMarshalDepth {
		return nil, fmt.Errorf("%w: nested too deeply, or a cycle", ErrUnsupported)
	}
	if !v.IsValid() {
		return append(out, "null"...), nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return append(out, "null"...), nil
		}
	}
	if mayHaveMethods(v) {
		if known, ok, err := m.known(out, v.Interface(), depth); ok {
			return known, err
		}
		if v.Kind() == reflect.Pointer { // *time.Time has the methods of time.Time, and must not be asked
			if known, ok, err := m.known(out, v.Elem().Interface(), depth); ok {
				return known, err
			}
		}
		if marshaled, ok, err := custom(out, v); ok {
			return marshaled, err
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return m.append(out, v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return m.appendList(out, v, depth)
	case reflect.Map:
		return m.appendMap(out, v, depth)
	case reflect.Struct:
		return m.appendStruct(out, v, depth)
	}
	return appendBasic(out, v)
}

// mayHaveMethods saves the plain types the questions to their methods.
func mayHaveMethods(v reflect.Value) bool {
	named := v.Type().PkgPath() != "" || v.Kind() == reflect.Pointer || v.Kind() == reflect.Struct
	return named && v.CanInterface()
}

func appendBasic(out []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(out, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	case reflect.Float32:
		return appendJSONFloat(out, v.Float(), 32), nil
	case reflect.Float64:
		return appendJSONFloat(out, v.Float(), 64), nil
	case reflect.String:
		return appendQuoted(out, v.String()), nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, v.Type())
}

// known writes the types that stand for Python's; ok is false for all others.
func (m Marshaler) known(out []byte, v any, depth int) (_ []byte, ok bool, err error) {
	switch v := v.(type) {
	case Raw:
		out, err = m.appendRaw(out, v)
	case time.Time:
		out, err = m.appendDateTime(out, DateTime{Time: v})
	case DateTime:
		out, err = m.appendDateTime(out, v)
	case Date:
		text := string(v)
		if m.PlainTypes {
			text += "T00:00:00"
		}
		out = m.appendTyped(out, "date", text)
	case TimeOfDay:
		out = m.appendTyped(out, "time", string(v))
	case Decimal:
		out = m.appendTyped(out, "decimal", string(v))
	case decimal.Decimal:
		out = m.appendTyped(out, "decimal", shopspringText(v))
	case uuid.UUID:
		out = m.appendUUID(out, v)
	case time.Duration: // Python has no JSON form of its own for a timedelta; seconds are what its APIs and our binding take
		out = AppendFloat(out, v.Seconds())
	case *big.Int:
		out = v.Append(out, 10)
	case big.Int:
		out = v.Append(out, 10)
	case json.Number:
		out, err = appendNumber(out, v)
	case *Map:
		out, err = m.appendOrdered(out, v, depth)
	case interface{ Raw() Raw }: // an Object, and the documents of this package
		out, err = m.appendRaw(out, v.Raw())
	default:
		return out, false, nil
	}
	return out, true, err
}

// shopspringText keeps trailing zeros: 1.10 is not 1.1 for Python's Decimal.
func shopspringText(d decimal.Decimal) string {
	if d.Exponent() < 0 {
		return d.StringFixed(-d.Exponent())
	}
	return d.String()
}

func (m Marshaler) appendTyped(out []byte, name, text string) []byte {
	if m.PlainTypes {
		return appendQuoted(out, text)
	}
	return append(out, typedRaw(name, text)...)
}

func (m Marshaler) appendDateTime(out []byte, v DateTime) ([]byte, error) {
	if year := v.Year(); year < 1 || year > 9999 {
		return nil, fmt.Errorf("%w: the year %d", ErrUnsupported, year)
	}
	text := v.String()
	if m.PlainTypes && strings.HasSuffix(text, "+00:00") {
		text = strings.TrimSuffix(text, "+00:00") + "Z"
	}
	return m.appendTyped(out, "datetime", text), nil
}

func (m Marshaler) appendUUID(out []byte, v uuid.UUID) []byte {
	if m.PlainTypes {
		return appendQuoted(out, v.String())
	}
	out = append(out, `{"__type__": "uuid", "__value__": {"hex": "`...)
	for _, c := range v {
		out = append(out, hexDigits[c>>4], hexDigits[c&0xF])
	}
	return append(out, `"}}`...)
}

// appendRaw copies text; typed values in it are made plain where that is asked for.
func (m Marshaler) appendRaw(out []byte, raw Raw) ([]byte, error) {
	if !m.PlainTypes || !bytes.Contains(raw, []byte(`"__type__"`)) {
		return appendRaw(out, raw), nil
	}
	value, err := ParseValue(raw, Limits{MaxDepth: maxMarshalDepth})
	if err != nil {
		return nil, err
	}
	return m.append(out, reflect.ValueOf(value), 0)
}

func appendNumber(out []byte, n json.Number) ([]byte, error) {
	if n == "" {
		return append(out, '0'), nil
	}
	if end, err := scanNumber([]byte(n), 0); err != nil || end != len(n) {
		return nil, fmt.Errorf("%w: json.Number %q", ErrUnsupported, string(n))
	}
	return append(out, n...), nil
}

// custom asks a value that knows how to write itself.
func custom(out []byte, v reflect.Value) ([]byte, bool, error) {
	value := v.Interface()
	if v.CanAddr() {
		value = v.Addr().Interface()
	}
	switch value := value.(type) {
	case json.Marshaler:
		text, err := value.MarshalJSON()
		if err != nil {
			return nil, true, err
		}
		if err := Raw(text).Valid(Limits{MaxDepth: maxMarshalDepth}); err != nil {
			return nil, true, fmt.Errorf("MarshalJSON of %s: %w", v.Type(), err)
		}
		return append(out, text...), true, nil
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		return appendQuoted(out, string(text)), true, err
	}
	return out, false, nil
}

func (m Marshaler) appendOrdered(out []byte, value *Map, depth int) (_ []byte, err error) {
	out = append(out, '{')
	for i, member := range value.Members {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(appendQuoted(out, member.Name), ": "...)
		if out, err = m.append(out, reflect.ValueOf(member.Value), depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func (m Marshaler) appendList(out []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		if m.PlainTypes {
			return nil, fmt.Errorf("%w: bytes, for kombu before 5.3", ErrUnsupported)
		}
		return append(out, bytesValue(v.Bytes())...), nil
	}
	out = append(out, '[')
	for i := range v.Len() {
		if i > 0 {
			out = append(out, ", "...)
		}
		if out, err = m.append(out, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func (m Marshaler) appendMap(out []byte, v reflect.Value, depth int) (_ []byte, err error) {
	type keyed struct {
		name  string
		value reflect.Value
	}
	entries := make([]keyed, 0, v.Len())
	for entry := v.MapRange(); entry.Next(); {
		name, err := mapKey(entry.Key())
		if err != nil {
			return nil, err
		}
		entries = append(entries, keyed{name, entry.Value()})
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].name < entries[j].name })
	out = append(out, '{')
	for i, entry := range entries {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(appendQuoted(out, entry.name), ": "...)
		if out, err = m.append(out, entry.value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func mapKey(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if text, ok := key.Interface().(encoding.TextMarshaler); ok {
		data, err := text.MarshalText()
		if err == nil && !utf8.Valid(data) {
			err = fmt.Errorf("%w: a map's key that is not UTF-8", ErrUnsupported)
		}
		return string(data), err
	}
	switch key.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(key.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", fmt.Errorf("%w: a map with keys of type %s", ErrUnsupported, key.Type())
}
