package tasks

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/lovage-go/lovage/protocol"
)

func (as *assigners) pointer(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	element, err := as.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, raw protocol.Raw) error {
		if raw.IsNull() {
			dst.SetZero()
			return nil
		}
		value := reflect.New(t.Elem())
		if err := element.assign(value.Elem(), raw); err != nil {
			return err
		}
		dst.Set(value)
		return nil
	}, nil
}

func (as *assigners) slice(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	element, err := as.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, raw protocol.Raw) error {
		if raw.IsNull() {
			dst.SetZero()
			return nil
		}
		elements, err := raw.Elements()
		if err != nil {
			return mismatch("a list", raw)
		}
		list := reflect.MakeSlice(t, len(elements), len(elements))
		for i, value := range elements {
			if err := element.assign(list.Index(i), value); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		dst.Set(list)
		return nil
	}, nil
}

func (as *assigners) array(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	element, err := as.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, raw protocol.Raw) error {
		elements, err := raw.Elements()
		if err != nil {
			return mismatch("a list", raw)
		}
		if len(elements) != t.Len() {
			return unfit(fmt.Sprintf("a list of %d", t.Len()), raw)
		}
		for i, value := range elements {
			if err := element.assign(dst.Index(i), value); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	}, nil
}

func (as *assigners) mapping(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	key, err := as.of(t.Key())
	if err != nil {
		return nil, err
	}
	element, err := as.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, raw protocol.Raw) error {
		if raw.IsNull() {
			dst.SetZero()
			return nil
		}
		members, err := raw.Members()
		if err != nil {
			return mismatch("a dict", raw)
		}
		m := reflect.MakeMapWithSize(t, len(members))
		for _, member := range members {
			name, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			err := key.assign(name, protocol.Quote(member.Name))
			if err != nil { // JSON has only text for keys; {1: ...} comes as "1"
				err = key.assign(name, protocol.Raw(member.Name))
			}
			if err == nil {
				err = element.assign(value, member.Value)
			}
			if err != nil {
				return fmt.Errorf("key '%s': %w", member.Name, err)
			}
			m.SetMapIndex(name, value)
		}
		dst.Set(m)
		return nil
	}, nil
}

type structField struct {
	index  []int
	assign *assigner
}

// structure reads nested objects: by json tag, else by the Go name or its snake_case. Unknown members are left out, missing ones stay zero.
func (as *assigners) structure(t reflect.Type) (func(reflect.Value, protocol.Raw) error, error) {
	list, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	named, byGoName := map[string]structField{}, map[string]structField{}
	for _, field := range list {
		assign, err := as.of(field.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Name, err)
		}
		f := structField{field.Index, assign}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = snake(field.Name)
			byGoName[field.Name] = f
		}
		named[name] = f
	}
	return func(dst reflect.Value, raw protocol.Raw) error {
		members, err := raw.Members()
		if err != nil {
			return mismatch("a dict", raw)
		}
		for _, member := range members {
			f, ok := named[member.Name]
			if !ok {
				if f, ok = byGoName[member.Name]; !ok {
					continue
				}
			}
			if err := f.assign.assign(fieldAt(dst, f.index), member.Value); err != nil {
				return fmt.Errorf("'%s': %w", member.Name, err)
			}
		}
		return nil
	}, nil
}
