package tasks

import (
	"fmt"
	"reflect"
)

// Accepts tells whether a handler's parameter list In takes a keyword argument of the given name, as a parameter or in its **kwargs.
func Accepts[In any](name string) (bool, error) {
	b, err := newBinder("", reflect.TypeFor[In]())
	if err != nil {
		return false, fmt.Errorf("parameters: %w", err)
	}
	for _, p := range b.params {
		if p.name == name {
			return true, nil
		}
		for _, alias := range p.aliases {
			if alias == name {
				return true, nil
			}
		}
	}
	return b.kwOf != nil, nil
}
