package tasks

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fieldsOf lists the fields of a struct as encoding/json sees them: exported, those of embedded structs in their place, without json:"-".
// An embedded type that is one value (time.Time) or has a json name is a field under its own name.
func fieldsOf(t reflect.Type) ([]reflect.StructField, error) {
	var list []reflect.StructField
	var opaque [][]int
	for _, field := range reflect.VisibleFields(t) {
		if slices.ContainsFunc(opaque, func(outer []int) bool {
			return len(field.Index) > len(outer) && slices.Equal(field.Index[:len(outer)], outer)
		}) {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch inner := indirect(field.Type); {
		case name == "-":
			opaque = append(opaque, field.Index)
		case field.Anonymous && name == "" && inner.Kind() == reflect.Struct && !isScalarStruct(inner):
			if field.Type != inner && !field.IsExported() {
				return nil, fmt.Errorf("%w: embedded %s cannot be set", ErrParameters, field.Type)
			}
		default:
			opaque = append(opaque, field.Index)
			if field.IsExported() {
				list = append(list, field)
			}
		}
	}
	return list, nil
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// fieldAt is Value.FieldByIndex that makes embedded pointers on its way.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	if len(index) == 1 {
		return v.Field(index[0])
	}
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}
