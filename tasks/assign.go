package tasks

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/lovage-go/lovage/protocol"
)

// assigner writes a value into a Go variable of one type. It is made once per type.
type assigner struct {
	assign func(dst reflect.Value, raw protocol.Raw) error
}

// errMismatch is a value of another type (TypeError); errValue one of the right type that does not do (ValueError).
var (
	errMismatch = errors.New("wrong type")
	errValue    = errors.New("wrong value")
)

func mismatch(want string, raw protocol.Raw) error {
	return fmt.Errorf("%w: %s is not %s", errMismatch, protocol.Repr(raw, 80), want)
}

func unfit(want string, raw protocol.Raw) error {
	return fmt.Errorf("%w: %s is not %s", errValue, protocol.Repr(raw, 80), want)
}

// isScalarStruct tells which struct types are one value and not a parameter list.
func isScalarStruct(t reflect.Type) bool {
	_, scalar := scalars()[t]
	pointer := reflect.PointerTo(t)
	return scalar || pointer.Implements(reflect.TypeFor[json.Unmarshaler]()) || pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// newAssigner decides by type how values are read; it fails for types that hold no value (channels, functions, ...).
func newAssigner(t reflect.Type) (*assigner, error) {
	return (&assigners{made: map[reflect.Type]*assigner{}}).of(t)
}

// assigners breaks cycles: a type that contains itself finds its own assigner.
type assigners struct{ made map[reflect.Type]*assigner }

func (as *assigners) of(t reflect.Type) (*assigner, error) {
	if a, ok := as.made[t]; ok {
		return a, nil
	}
	a := &assigner{}
	as.made[t] = a
	assign, err := as.build(t)
	if err != nil {
		return nil, err
	}
	a.assign = assign
	return a, nil
}

func (as *assigners) build(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	if assign, ok := scalars()[t]; ok {
		return assign, nil
	}
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return assignJSON, nil
	}
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return assignText, nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return assignBool, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return assignInt, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return assignUint, nil
	case reflect.Float32, reflect.Float64:
		return assignFloat, nil
	case reflect.String:
		return assignString, nil
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return nil, fmt.Errorf("%w: interface %s", ErrParameters, t)
		}
		return assignAny, nil
	case reflect.Pointer:
		return as.pointer(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return assignBytes, nil
		}
		return as.slice(t)
	case reflect.Array:
		return as.array(t)
	case reflect.Map:
		return as.mapping(t)
	case reflect.Struct:
		return as.structure(t)
	}
	return nil, fmt.Errorf("%w: %s", ErrParameters, t)
}

// scalars are the types with a meaning of their own.
func scalars() map[reflect.Type]func(reflect.Value, protocol.Raw) error {
	return map[reflect.Type]func(reflect.Value, protocol.Raw) error{
		reflect.TypeFor[protocol.Raw](): func(dst reflect.Value, raw protocol.Raw) error {
			dst.SetBytes(append([]byte(nil), raw...))
			return nil
		},
		reflect.TypeFor[time.Time]():         assignTime,
		reflect.TypeFor[protocol.DateTime](): assignDateTime,
		reflect.TypeFor[time.Duration]():     assignDuration,
		reflect.TypeFor[big.Int]():           assignBig,
		reflect.TypeFor[decimal.Decimal]():   assignDecimal,
		reflect.TypeFor[uuid.UUID]():         assignUUID,
	}
}

func assignBool(dst reflect.Value, raw protocol.Raw) error {
	switch string(raw) {
	case "true":
		dst.SetBool(true)
	case "false":
		dst.SetBool(false)
	default:
		return mismatch("a bool", raw)
	}
	return nil
}

// integerText gives the digits of an integer; a float without a fraction counts as one.
func integerText(raw protocol.Raw) (string, bool) {
	text := string(raw)
	if !strings.ContainsAny(text, ".eE") {
		return text, len(text) > 0 && (text[0] == '-' && text != "-Infinity" || text[0] >= '0' && text[0] <= '9')
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return "", false
	}
	return strconv.FormatInt(int64(f), 10), true
}

func assignInt(dst reflect.Value, raw protocol.Raw) error {
	text, ok := integerText(raw)
	if !ok {
		return mismatch("an integer", raw)
	}
	n, err := strconv.ParseInt(text, 10, dst.Type().Bits())
	if err != nil {
		return unfit("in the range of "+dst.Type().String(), raw)
	}
	dst.SetInt(n)
	return nil
}

func assignUint(dst reflect.Value, raw protocol.Raw) error {
	text, ok := integerText(raw)
	if !ok {
		return mismatch("an integer", raw)
	}
	n, err := strconv.ParseUint(text, 10, dst.Type().Bits())
	if err != nil {
		return unfit("in the range of "+dst.Type().String(), raw)
	}
	dst.SetUint(n)
	return nil
}

func assignFloat(dst reflect.Value, raw protocol.Raw) error {
	switch string(raw) {
	case "NaN":
		dst.SetFloat(math.NaN())
		return nil
	case "Infinity":
		dst.SetFloat(math.Inf(1))
		return nil
	case "-Infinity":
		dst.SetFloat(math.Inf(-1))
		return nil
	}
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return mismatch("a number", raw)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil && !math.IsInf(f, 0) {
		return mismatch("a number", raw)
	}
	if dst.OverflowFloat(f) { // what Python's json reads as infinite is no overflow
		return unfit("in the range of "+dst.Type().String(), raw)
	}
	dst.SetFloat(f)
	return nil
}

func assignString(dst reflect.Value, raw protocol.Raw) error {
	text, ok := raw.Text()
	if !ok {
		return mismatch("a string", raw)
	}
	dst.SetString(text)
	return nil
}

// assignAny gives natural Go values: objects as map[string]any, aware datetimes as time.Time, the rest as ParseValue does (a protocol.Decimal keeps all
// digits, a protocol.DateTime that it is naive).
func assignAny(dst reflect.Value, raw protocol.Raw) error {
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		return err
	}
	if value = plain(value); value != nil {
		dst.Set(reflect.ValueOf(value))
	}
	return nil
}

func plain(value any) any {
	switch v := value.(type) {
	case *protocol.Map:
		m := make(map[string]any, len(v.Members))
		for _, member := range v.Members {
			m[member.Name] = plain(member.Value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case protocol.DateTime:
		if !v.Naive {
			return v.Time
		}
	}
	return value
}

// assignBytes takes kombu's typed bytes, a string's UTF-8, or None.
func assignBytes(dst reflect.Value, raw protocol.Raw) error {
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		dst.SetZero()
	case []byte:
		dst.SetBytes(v)
	case string:
		dst.SetBytes([]byte(v))
	default:
		return mismatch("bytes", raw)
	}
	return nil
}

// dateTime takes kombu's typed datetime or date, or text that Python's datetime.fromisoformat takes.
func dateTime(raw protocol.Raw) (protocol.DateTime, error) {
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		return protocol.DateTime{}, err
	}
	text := ""
	switch v := value.(type) {
	case protocol.DateTime:
		return v, nil
	case protocol.Date:
		text = string(v)
	case string:
		text = v
	default:
		return protocol.DateTime{}, mismatch("a datetime", raw)
	}
	typed := protocol.Object{{Name: "__type__", Value: protocol.Raw(`"datetime"`)}, {Name: "__value__", Value: protocol.Quote(text)}}
	if value, err = protocol.ParseValue(typed.Raw(), protocol.Limits{}); err != nil {
		return protocol.DateTime{}, unfit("a datetime", raw)
	}
	return value.(protocol.DateTime), nil
}

func assignTime(dst reflect.Value, raw protocol.Raw) error {
	t, err := dateTime(raw)
	if err == nil {
		dst.Set(reflect.ValueOf(t.Time))
	}
	return err
}

func assignDateTime(dst reflect.Value, raw protocol.Raw) error {
	t, err := dateTime(raw)
	if err == nil {
		dst.Set(reflect.ValueOf(t))
	}
	return err
}

// assignDuration takes seconds, the unit of Celery's settings and of timedelta.total_seconds; JSON has no timedelta.
func assignDuration(dst reflect.Value, raw protocol.Raw) error {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil && !math.IsInf(seconds, 0):
		return mismatch("a number of seconds", raw)
	case math.IsNaN(seconds) || math.Abs(seconds) > 9e9:
		return unfit("in the range of time.Duration, in seconds", raw)
	}
	dst.SetInt(int64(math.Round(seconds * 1e9)))
	return nil
}

func assignBig(dst reflect.Value, raw protocol.Raw) error {
	text, ok := integerText(raw)
	n, parsed := new(big.Int).SetString(text, 10)
	if !ok || !parsed {
		return mismatch("an integer", raw)
	}
	dst.Set(reflect.ValueOf(*n))
	return nil
}

func assignDecimal(dst reflect.Value, raw protocol.Raw) error {
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		return err
	}
	text := string(raw)
	switch v := value.(type) {
	case protocol.Decimal:
		text = string(v)
	case string:
		text = v
	case int64, *big.Int, float64: // a number's own text keeps its digits
	default:
		return mismatch("a decimal", raw)
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return unfit("a decimal", raw)
	}
	dst.Set(reflect.ValueOf(d))
	return nil
}

func assignUUID(dst reflect.Value, raw protocol.Raw) error {
	value, err := protocol.ParseValue(raw, protocol.Limits{})
	if err != nil {
		return err
	}
	if text, ok := value.(string); ok {
		if value, err = uuid.Parse(text); err != nil {
			return unfit("a uuid", raw)
		}
	}
	id, ok := value.(uuid.UUID)
	if !ok {
		return mismatch("a uuid", raw)
	}
	dst.Set(reflect.ValueOf(id))
	return nil
}

func assignJSON(dst reflect.Value, raw protocol.Raw) error {
	return refused(dst.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw))
}

// refused marks the error of a type that reads itself.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errValue, err)
}

// assignText takes a string, or the text of one of kombu's typed values.
func assignText(dst reflect.Value, raw protocol.Raw) error {
	text, ok := raw.Text()
	if !ok {
		if members, err := raw.Members(); err == nil {
			value, _ := members.Get("__value__")
			text, ok = value.Text()
		}
	}
	if !ok {
		text = string(raw)
		if raw.IsNull() || raw[0] == '{' || raw[0] == '[' {
			return mismatch("text", raw)
		}
	}
	return refused(dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
}
