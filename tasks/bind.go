package tasks

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/lovage-go/lovage/protocol"
)

// ErrParameters says that a Go type cannot be the parameters of a task.
var ErrParameters = errors.New("unusable parameter type")

// binder fills a value of one type from a call's arguments, by Python's rules. It is made once per task.
type binder struct {
	function string    // the name in error messages: the last part of the task's name, as a Python function would be called
	whole    *assigner // the one positional parameter of a type that is no parameter list
	pointer  bool      // the parameter list is behind a pointer
	params   []parameter
	position int // how many of params are positional; keyword-only ones follow
	rest     []int
	restOf   *assigner
	keywords []int
	kwOf     *assigner
}

type parameter struct {
	name     string
	aliases  []string
	index    []int
	optional bool
	fallback protocol.Raw
	assign   *assigner
}

func newBinder(task string, t reflect.Type) (*binder, error) {
	b := &binder{function: task[strings.LastIndexByte(task, '.')+1:]}
	if list := indirect(t); list != t && list.Kind() == reflect.Struct && !isScalarStruct(list) {
		b.pointer, t = true, list
	}
	if t.Kind() != reflect.Struct || isScalarStruct(t) {
		whole, err := newAssigner(t)
		if err != nil {
			return nil, err
		}
		b.params = []parameter{{name: "value", assign: whole, optional: t.Kind() == reflect.Pointer}}
		b.position, b.whole = 1, whole
		return b, nil
	}
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	var keywordOnly []parameter
	for _, field := range fields {
		if err := b.addField(field, &keywordOnly); err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Name, err)
		}
	}
	b.position = len(b.params)
	b.params = append(b.params, keywordOnly...)
	return b, b.check()
}

// check refuses what Python refuses in a def.
func (b *binder) check() error {
	names := map[string]bool{}
	for _, p := range b.params {
		if names[p.name] {
			return fmt.Errorf("%w: two parameters are named %s", ErrParameters, p.name)
		}
		names[p.name] = true
	}
	for i := 1; i < b.position; i++ {
		if b.params[i-1].optional && !b.params[i].optional {
			return fmt.Errorf("%w: %s has no default but follows %s, which has one", ErrParameters, b.params[i].name, b.params[i-1].name)
		}
	}
	return nil
}

// addField reads a field's tags: json for the name, default for the default value (JSON), lovage for args, kwargs and kwonly.
func (b *binder) addField(field reflect.StructField, keywordOnly *[]parameter) error {
	kind := field.Tag.Get("lovage")
	switch kind {
	case "args":
		if field.Type.Kind() != reflect.Slice || b.restOf != nil {
			return fmt.Errorf("%w: *args needs one slice", ErrParameters)
		}
		element, err := newAssigner(field.Type.Elem())
		b.rest, b.restOf = field.Index, element
		return err
	case "kwargs":
		if field.Type.Kind() != reflect.Map || field.Type.Key().Kind() != reflect.String || b.kwOf != nil {
			return fmt.Errorf("%w: **kwargs needs one map with string keys", ErrParameters)
		}
		element, err := newAssigner(field.Type.Elem())
		b.keywords, b.kwOf = field.Index, element
		return err
	case "", "kwonly":
	default:
		return fmt.Errorf("%w: tag lovage:%q is none of args, kwargs, kwonly", ErrParameters, kind)
	}
	p, err := newParameter(field)
	if err != nil {
		return err
	}
	if kind == "kwonly" {
		*keywordOnly = append(*keywordOnly, p)
	} else {
		b.params = append(b.params, p)
	}
	return nil
}

func newParameter(field reflect.StructField) (parameter, error) {
	p := parameter{index: field.Index, optional: field.Type.Kind() == reflect.Pointer}
	name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "" {
		name = snake(field.Name)
		p.aliases = []string{field.Name}
	}
	p.name = name
	p.optional = p.optional || strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
	var err error
	if p.assign, err = newAssigner(field.Type); err != nil {
		return p, err
	}
	fallback, ok := field.Tag.Lookup("default")
	if !ok {
		return p, nil
	}
	p.optional, p.fallback = true, protocol.Raw(fallback)
	probe := reflect.New(field.Type).Elem()
	if p.fallback.Valid(protocol.Limits{}) == nil && p.assign.assign(probe, p.fallback) == nil {
		return p, nil
	}
	p.fallback = protocol.Quote(fallback) // default:"text" without quotes
	if err := p.assign.assign(probe, p.fallback); err != nil {
		return p, fmt.Errorf("%w: default %q: %w", ErrParameters, fallback, err)
	}
	return p, nil
}

// snake writes a Go name as Python would: RegionCode is region_code, X is x.
func snake(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && (runes[i-1] < 'A' || runes[i-1] > 'Z' || i+1 < len(runes) && runes[i+1] >= 'a' && runes[i+1] <= 'z') {
			out.WriteByte('_')
		}
		out.WriteRune(r)
	}
	return strings.ToLower(out.String())
}

func typeError(format string, args ...any) error {
	return Raise("TypeError", fmt.Sprintf(format, args...))
}

// wrongValue is the error of an argument whose value cannot be taken.
func (b *binder) wrongValue(argument string, err error) error {
	class := "TypeError"
	if errors.Is(err, errValue) {
		class = "ValueError"
	}
	return Raise(class, fmt.Sprintf("%s() argument %s: %v", b.function, argument, err))
}

// maxSmall is how many parameters are tracked without allocating.
const maxSmall = 16

// bind fills target, in the order in which Python looks for mistakes: keywords, too many positional arguments, missing ones.
func (b *binder) bind(target reflect.Value, args []protocol.Raw, kwargs protocol.Object) error {
	if b.pointer {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	var small [maxSmall]protocol.Raw
	given := small[:0:maxSmall]
	if len(b.params) > maxSmall {
		given = make([]protocol.Raw, 0, len(b.params))
	}
	given = given[:len(b.params)]
	positional := min(len(args), b.position)
	copy(given, args[:positional])
	extra, keywordOnly, err := b.bindKeywords(given, kwargs)
	if err != nil {
		return err
	}
	if len(args) > b.position && b.restOf == nil {
		return b.tooMany(len(args), keywordOnly)
	}
	if err := b.missing(given); err != nil {
		return err
	}
	for i, raw := range given {
		if err := b.assign(target, i, raw); err != nil {
			return err
		}
	}
	return b.bindRest(target, args[positional:], extra)
}

func (b *binder) assign(target reflect.Value, i int, raw protocol.Raw) error {
	p := &b.params[i]
	if raw == nil {
		if raw = p.fallback; raw == nil {
			return nil
		}
	}
	field := target
	if b.whole == nil {
		field = fieldAt(target, p.index)
	}
	if err := p.assign.assign(field, raw); err != nil {
		return b.wrongValue(fmt.Sprintf("'%s'", p.name), err)
	}
	return nil
}

func (b *binder) bindKeywords(given []protocol.Raw, kwargs protocol.Object) (extra protocol.Object, keywordOnly int, err error) {
	for _, member := range kwargs {
		i := b.find(member.Name)
		switch {
		case i < 0 && b.kwOf == nil:
			return nil, 0, typeError("%s() got an unexpected keyword argument '%s'", b.function, member.Name)
		case i < 0:
			extra = append(extra, member)
		case given[i] != nil:
			return nil, 0, typeError("%s() got multiple values for argument '%s'", b.function, member.Name)
		default:
			given[i] = member.Value
			if i >= b.position {
				keywordOnly++
			}
		}
	}
	return extra, keywordOnly, nil
}

func (b *binder) find(name string) int {
	for i := range b.params {
		if b.params[i].name == name {
			return i
		}
	}
	for i := range b.params {
		for _, alias := range b.params[i].aliases {
			if alias == name {
				return i
			}
		}
	}
	return -1
}

// tooMany words the error as CPython's too_many_positional does.
func (b *binder) tooMany(given, keywordOnly int) error {
	defaults := 0
	for _, p := range b.params[:b.position] {
		if p.optional {
			defaults++
		}
	}
	takes, plural := fmt.Sprint(b.position), b.position != 1
	if defaults > 0 {
		takes, plural = fmt.Sprintf("from %d to %d", b.position-defaults, b.position), true
	}
	were, and := "were", ""
	if keywordOnly > 0 {
		and = fmt.Sprintf(" positional argument%s (and %d keyword-only argument%s)", s(given != 1), keywordOnly, s(keywordOnly != 1))
	} else if given == 1 {
		were = "was"
	}
	return typeError("%s() takes %s positional argument%s but %d%s %s given", b.function, takes, s(plural), given, and, were)
}

func s(plural bool) string {
	if plural {
		return "s"
	}
	return ""
}

func (b *binder) missing(given []protocol.Raw) error {
	for _, part := range []struct {
		from, to int
		kind     string
	}{{0, b.position, "positional"}, {b.position, len(b.params), "keyword-only"}} {
		var names []string
		for i := part.from; i < part.to; i++ {
			if given[i] == nil && !b.params[i].optional {
				names = append(names, "'"+b.params[i].name+"'")
			}
		}
		if len(names) > 0 {
			return typeError("%s() missing %d required %s argument%s: %s", b.function, len(names), part.kind, s(len(names) != 1), enumerate(names))
		}
	}
	return nil
}

// enumerate joins names as CPython's format_missing does: 'a', 'b', and 'c'.
func enumerate(names []string) string {
	switch n := len(names); n {
	case 1:
		return names[0]
	case 2:
		return names[0] + " and " + names[1]
	default:
		return strings.Join(names[:n-1], ", ") + ", and " + names[n-1]
	}
}

func (b *binder) bindRest(target reflect.Value, args []protocol.Raw, kwargs protocol.Object) error {
	if b.restOf != nil && len(args) > 0 {
		list := reflect.MakeSlice(fieldAt(target, b.rest).Type(), len(args), len(args))
		for i, raw := range args {
			if err := b.restOf.assign(list.Index(i), raw); err != nil {
				return b.wrongValue(fmt.Sprint(b.position+i+1), err)
			}
		}
		fieldAt(target, b.rest).Set(list)
	}
	if b.kwOf != nil && len(kwargs) > 0 {
		t := fieldAt(target, b.keywords).Type()
		m := reflect.MakeMapWithSize(t, len(kwargs))
		for _, member := range kwargs {
			value := reflect.New(t.Elem()).Elem()
			if err := b.kwOf.assign(value, member.Value); err != nil {
				return b.wrongValue(fmt.Sprintf("'%s'", member.Name), err)
			}
			m.SetMapIndex(reflect.ValueOf(member.Name).Convert(t.Key()), value)
		}
		fieldAt(target, b.keywords).Set(m)
	}
	return nil
}
