package protocol

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// structField is a field of a struct as it is written, by encoding/json's rules.
type structField struct {
	name      string
	index     []int
	omitEmpty bool
	omitZero  bool
	quoted    bool // ",string": a number or bool written as a string
	tagged    bool
}

func (m Marshaler) appendStruct(out []byte, v reflect.Value, depth int) (_ []byte, err error) {
	out = append(out, '{')
	first := true
	for _, field := range m.plan(v.Type()) {
		value, ok := fieldByIndex(v, field.index)
		if !ok || field.omitEmpty && isEmpty(value) || field.omitZero && isZero(value) {
			continue
		}
		if !first {
			out = append(out, ", "...)
		}
		first = false
		out = append(appendQuoted(out, field.name), ": "...)
		start := len(out)
		if out, err = m.append(out, value, depth+1); err != nil {
			return nil, fmt.Errorf("field %s: %w", field.name, err)
		}
		if field.quoted {
			out = appendQuoted(out[:start], string(out[start:]))
		}
	}
	return append(out, '}'), nil
}

// plan is the list of a struct's fields, from memory where there is one.
func (m Marshaler) plan(t reflect.Type) []structField {
	if m.plans == nil {
		return structFields(t)
	}
	if known, ok := m.plans.Load(t); ok {
		return known.([]structField)
	}
	fields := structFields(t)
	m.plans.Store(t, fields)
	return fields
}

// structFields finds the fields of a struct and of those embedded in it. Of several with one name the least deep counts, then the one with a
// tag; if there are still several, none.
func structFields(t reflect.Type) []structField {
	var found []structField
	collectFields(t, nil, map[reflect.Type]bool{}, &found)
	var kept []structField
	for i, field := range found {
		wins := true
		for j, other := range found {
			if i != j && other.name == field.name && !beats(field, other) {
				wins = false
				break
			}
		}
		if wins {
			kept = append(kept, field)
		}
	}
	slices.SortFunc(kept, func(a, b structField) int { return slices.Compare(a.index, b.index) })
	return kept
}

func beats(field, other structField) bool {
	if len(field.index) != len(other.index) {
		return len(field.index) < len(other.index)
	}
	return field.tagged && !other.tagged
}

func collectFields(t reflect.Type, prefix []int, above map[reflect.Type]bool, found *[]structField) {
	if above[t] {
		return
	}
	above[t] = true
	defer delete(above, t)
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		if tag == "-" {
			continue
		}
		index := append(slices.Clip(slices.Clone(prefix)), i)
		name, options, _ := strings.Cut(tag, ",")
		if field.Anonymous {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if !field.IsExported() && inner.Kind() != reflect.Struct {
				continue
			}
			if name == "" && inner.Kind() == reflect.Struct {
				collectFields(inner, index, above, found)
				continue
			}
		}
		if !field.IsExported() {
			continue
		}
		*found = append(*found, newField(field, name, options, index))
	}
}

func newField(field reflect.StructField, name, options string, index []int) structField {
	made := structField{name: name, index: index, tagged: name != ""}
	if name == "" {
		made.name = field.Name
	}
	for _, option := range strings.Split(options, ",") {
		switch option {
		case "omitempty":
			made.omitEmpty = true
		case "omitzero":
			made.omitZero = true
		case "string":
			switch field.Type.Kind() {
			case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
				reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
				reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
				made.quoted = true
			}
		}
	}
	return made
}

// fieldByIndex finds a field; ok is false behind a nil pointer.
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

// isEmpty is what encoding/json's omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZero is what encoding/json's omitzero leaves out.
func isZero(v reflect.Value) bool {
	if v.CanInterface() && (v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface || !v.IsNil()) {
		if zeroer, ok := v.Interface().(interface{ IsZero() bool }); ok {
			return zeroer.IsZero()
		}
	}
	return v.IsZero()
}
