package protocol

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// ErrUnsupported says that a Go value has no JSON form: a channel, a function, a complex number, a map with odd keys, a cycle.
var ErrUnsupported = errors.New("value cannot be written as JSON")

// Marshaler writes Go values as JSON text that kombu reads. The zero value writes what kombu 5.3 and later write.
type Marshaler struct {
	// PlainTypes writes datetimes, dates, times, decimals and uuids as plain strings, as kombu before 5.3 did: a Python
	// side of that age does not know the typed form.
	PlainTypes bool
}

// Marshal writes a Go value as kombu 5.3 and later would write the like Python value: time.Time as datetime, []byte as bytes, uuid.UUID, decimal.Decimal
// and Decimal as theirs, *big.Int as an integer, structs by their json tags, maps sorted by key. NaN and the infinities are written as
// Python writes them. A json.Marshaler or encoding.TextMarshaler is asked.
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
	case Raw:
		return appendRaw(nil, v), nil
	}
	out, err := m.append(nil, reflect.ValueOf(v), 0)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return out, nil
}

func (m Marshaler) typed(out []byte, name, text string) []byte {
	if m.PlainTypes {
		return appendQuoted(out, text)
	}
	return append(out, typedRaw(name, text)...)
}

// known writes the types that kombu knows; ok is false for all others.
func (m Marshaler) known(out []byte, v any) (_ []byte, ok bool) {
	switch v := v.(type) {
	case Raw:
		return appendRaw(out, v), true
	case time.Time:
		return m.typed(out, "datetime", isoformat(v)), true
	case DateTime:
		text := isoformat(v.Time)
		if v.Naive {
			text = strings.TrimSuffix(isoformat(v.Time.UTC()), "+00:00")
		}
		return m.typed(out, "datetime", text), true
	case Date:
		return m.typed(out, "date", string(v)), true
	case TimeOfDay:
		return m.typed(out, "time", string(v)), true
	case Decimal:
		return m.typed(out, "decimal", string(v)), true
	case decimal.Decimal:
		return m.typed(out, "decimal", shopspringText(v)), true
	case uuid.UUID:
		if m.PlainTypes {
			return appendQuoted(out, v.String()), true
		}
		return append(out, `{"__type__": "uuid", "__value__": {"hex": "`+strings.ReplaceAll(v.String(), "-", "")+`"}}`...), true
	case *big.Int:
		if v == nil {
			return append(out, "null"...), true
		}
		return v.Append(out, 10), true
	case big.Int:
		return v.Append(out, 10), true
	case []byte:
		return append(out, bytesValue(v)...), true
	case json.Number:
		return append(out, string(v)...), true
	case Object:
		return v.AppendJSON(out), true
	}
	return out, false
}

// shopspringText keeps trailing zeros: 1.10 is not 1.1 for Python's Decimal.
func shopspringText(d decimal.Decimal) string {
	if d.Exponent() < 0 {
		return d.StringFixed(-d.Exponent())
	}
	return d.String()
}

// isoformat writes a time with its own offset, as Python's datetime.isoformat does.
func isoformat(t time.Time) string {
	layout := "2006-01-02T15:04:05.000000-07:00"
	if t.Nanosecond()/1000 == 0 {
		layout = "2006-01-02T15:04:05-07:00"
	}
	return t.Format(layout)
}

const maxMarshalDepth = 1000

func (m Marshaler) append(out []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxMarshalDepth {
		return nil, fmt.Errorf("%w: nested too deeply, or a cycle", ErrUnsupported)
	}
	if !v.IsValid() {
		return append(out, "null"...), nil
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return append(out, "null"...), nil
		}
	}
	if v.CanInterface() {
		if known, ok := m.known(out, v.Interface()); ok {
			return known, nil
		}
		if marshaled, ok, err := m.custom(out, v); ok || err != nil {
			return marshaled, err
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return m.append(out, v.Elem(), depth+1)
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(out, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	case reflect.Float32:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, 32), 64) // the digits that one sees
		return AppendFloat(out, f), nil
	case reflect.Float64:
		return AppendFloat(out, v.Float()), nil
	case reflect.String:
		return appendQuoted(out, v.String()), nil
	case reflect.Slice, reflect.Array:
		return m.appendList(out, v, depth)
	case reflect.Map:
		return m.appendMap(out, v, depth)
	case reflect.Struct:
		return m.appendStruct(out, v, depth)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnsupported, v.Type())
}

// custom asks a value that knows how to write itself.
func (m Marshaler) custom(out []byte, v reflect.Value) ([]byte, bool, error) {
	value := v.Interface()
	if v.CanAddr() {
		value = v.Addr().Interface()
	}
	switch value := value.(type) {
	case *Map:
		return m.appendOrdered(out, value)
	case json.Marshaler:
		text, err := value.MarshalJSON()
		return append(out, text...), true, err
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		return appendQuoted(out, string(text)), true, err
	}
	return out, false, nil
}

func (m Marshaler) appendOrdered(out []byte, value *Map) ([]byte, bool, error) {
	object := make(Object, 0, len(value.Members))
	for _, member := range value.Members {
		raw, err := m.Marshal(member.Value)
		if err != nil {
			return nil, true, err
		}
		object = append(object, Member{member.Name, raw})
	}
	return object.AppendJSON(out), true, nil
}

func (m Marshaler) appendList(out []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return append(out, "null"...), nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
		return append(out, bytesValue(v.Bytes())...), nil
	}
	out = append(out, '[')
	for i := range v.Len() {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		if out, err = m.append(out, v.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func (m Marshaler) appendMap(out []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.IsNil() {
		return append(out, "null"...), nil
	}
	object := make(Object, 0, v.Len())
	for entries := v.MapRange(); entries.Next(); {
		key, err := mapKey(entries.Key())
		if err != nil {
			return nil, err
		}
		value, err := m.append(nil, entries.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		object = append(object, Member{key, value})
	}
	sort.Slice(object, func(i, j int) bool { return object[i].Name < object[j].Name })
	return object.AppendJSON(out), nil
}

func mapKey(key reflect.Value) (string, error) {
	if text, ok := key.Interface().(encoding.TextMarshaler); ok {
		data, err := text.MarshalText()
		return string(data), err
	}
	switch key.Kind() {
	case reflect.String:
		return key.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(key.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", fmt.Errorf("%w: a map with keys of type %s", ErrUnsupported, key.Type())
}

func (m Marshaler) appendStruct(out []byte, v reflect.Value, depth int) ([]byte, error) {
	var object Object
	var err error
	for _, field := range reflect.VisibleFields(v.Type()) {
		name, omit, ok := jsonField(field)
		if !ok {
			continue
		}
		value, found := fieldByIndex(v, field.Index)
		if !found || omit && value.IsZero() {
			continue
		}
		var raw []byte
		if raw, err = m.append(nil, value, depth+1); err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Name, err)
		}
		object = object.Set(name, raw)
	}
	return object.AppendJSON(out), nil
}

// jsonField tells the name under which a field is written, by encoding/json's rules; embedded structs are written through their fields.
func jsonField(field reflect.StructField) (name string, omit, ok bool) {
	tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	if tag == "-" && options == "" || !field.IsExported() {
		return "", false, false
	}
	if field.Anonymous && tag == "" {
		t := field.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() {
			return "", false, false
		}
	}
	if tag == "" {
		tag = field.Name
	}
	return tag, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"), true
}

func fieldByIndex(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, true
}
