package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlShare is the part of Limits.MaxBody that a YAML body may take, for its nodes take eighty times their text: 4 MiB of 64. PyYAML, at about
// a second per 100 kB, could not use more.
const yamlShare = 16

// decodeYAML translates YAML into JSON text, reading it as kombu does: PyYAML's safe_load, which is YAML 1.1. Timestamps and !!binary
// become kombu's typed values, sets lists. Aliases are written out each time; what they may grow to is limited like a body. A dict that looks like
// kombu's typed JSON is taken for that, which kombu would not do.
func decodeYAML(data []byte, lim Limits) (Raw, error) {
	lim = lim.withDefaults()
	if most := max(lim.MaxBody/yamlShare, 1); int64(len(data)) > most {
		return nil, fmt.Errorf("%w: YAML of %d bytes, the limit is %d", ErrTooLarge, len(data), most)
	}
	root, err := parseYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%w YAML: %w", ErrSyntax, err)
	}
	if root == nil {
		return Null(), nil
	}
	y := yamlReader{left: lim.MaxBody}
	out, err := y.value(nil, root, lim.MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	return out, nil
}

// parseYAML gives the content of the only document; nil for an empty one.
func parseYAML(data []byte) (root *yaml.Node, err error) {
	defer func() {
		if problem := recover(); problem != nil { // the library panics where it meets what it thinks impossible
			err = fmt.Errorf("%v", problem)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.Join(errors.New("more than one document"), err)
	}
	if len(document.Content) != 1 {
		return nil, errors.New("no content")
	}
	return document.Content[0], nil
}

// yamlReader writes nodes as JSON text.
type yamlReader struct {
	left int64 // what may still be written; each node takes some, so that aliases to nothing end as well
}

func (y *yamlReader) take(n int) error {
	if y.left -= int64(n); y.left < 0 {
		return fmt.Errorf("%w: its aliases grow beyond the limit", ErrTooLarge)
	}
	return nil
}

func (y *yamlReader) value(out []byte, node *yaml.Node, depth int) (_ []byte, err error) {
	if err := y.take(1); err != nil {
		return nil, err
	}
	switch node.Kind {
	case yaml.AliasNode:
		return y.alias(out, node, depth)
	case yaml.ScalarNode:
		start := len(out)
		if out, err = appendYAMLScalar(out, node); err != nil {
			return nil, err
		}
		return out, y.take(len(out) - start)
	case yaml.SequenceNode:
		return y.sequence(out, node, depth)
	case yaml.MappingNode:
		return y.mapping(out, node, depth)
	}
	return nil, fmt.Errorf("%w: a node of kind %d", ErrType, node.Kind)
}

// alias writes what the alias stands for once more. A node that contains itself is too deep.
func (y *yamlReader) alias(out []byte, node *yaml.Node, depth int) ([]byte, error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	return y.value(out, node.Alias, depth-1)
}

// tagOf is the tag that is written at a node; "" when there is none.
func tagOf(node *yaml.Node) string {
	if node.Style&yaml.TaggedStyle == 0 {
		return ""
	}
	return node.ShortTag()
}

func (y *yamlReader) sequence(out []byte, node *yaml.Node, depth int) (_ []byte, err error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	pairs := false
	switch tag := tagOf(node); tag {
	case "", "!!seq":
	case "!!omap", "!!pairs":
		pairs = true
	default:
		return nil, unknownTag(tag)
	}
	out = append(out, '[')
	for i, element := range node.Content {
		if i > 0 {
			out = append(out, ", "...)
		}
		if pairs {
			out, err = y.pair(out, element, depth-1)
		} else {
			out, err = y.value(out, element, depth-1)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func unknownTag(tag string) error {
	return fmt.Errorf("%w: PyYAML's safe_load has no tag %.60q here", ErrType, tag)
}

// pair writes an element of !!omap or !!pairs, which is a mapping of one member, as a tuple.
func (y *yamlReader) pair(out []byte, node *yaml.Node, depth int) (_ []byte, err error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode || len(node.Content) != 2 || depth <= 0 {
		return nil, fmt.Errorf("%w: an ordered map is made of mappings of one member", ErrType)
	}
	if out, err = y.value(append(out, '['), node.Content[0], depth-1); err != nil {
		return nil, err
	}
	if out, err = y.value(append(out, ", "...), node.Content[1], depth-1); err != nil {
		return nil, err
	}
	return append(out, ']'), nil
}

func (y *yamlReader) mapping(out []byte, node *yaml.Node, depth int) (_ []byte, err error) {
	tag := tagOf(node)
	if tag != "" && tag != "!!map" && tag != "!!set" {
		return nil, unknownTag(tag)
	}
	members, err := y.flatten(nil, node, depth)
	if err != nil {
		return nil, err
	}
	open, closer := byte('{'), byte('}')
	if tag == "!!set" { // JSON has no sets: its members become a list
		open, closer = '[', ']'
	}
	out = append(out, open)
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			out = append(out, ", "...)
		}
		if tag == "!!set" {
			if out, err = y.value(out, members[i], depth-1); err != nil {
				return nil, err
			}
			continue
		}
		if out, err = y.key(out, members[i]); err != nil {
			return nil, err
		}
		if out, err = y.value(append(out, ": "...), members[i+1], depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, closer), nil
}

// flatten lists a mapping's keys and values with those that << merges into it in front, so that its own count.
func (y *yamlReader) flatten(members []*yaml.Node, node *yaml.Node, depth int) (_ []*yaml.Node, err error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	var own []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if err := y.take(1); err != nil {
			return nil, err
		}
		if key.Kind != yaml.ScalarNode || !isPlain(key) || key.Value != "<<" || tagOf(key) != "" {
			own = append(own, key, value)
			continue
		}
		if members, err = y.merge(members, value, depth-1); err != nil {
			return nil, err
		}
	}
	return append(members, own...), nil
}

// merge adds the members of one mapping, or of several of which the first counts most.
func (y *yamlReader) merge(members []*yaml.Node, value *yaml.Node, depth int) (_ []*yaml.Node, err error) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch value.Kind {
	case yaml.MappingNode:
		return y.flatten(members, value, depth)
	case yaml.SequenceNode:
		for i := len(value.Content) - 1; i >= 0; i-- {
			mapping := value.Content[i]
			if mapping.Kind == yaml.AliasNode {
				mapping = mapping.Alias
			}
			if mapping.Kind != yaml.MappingNode {
				return nil, fmt.Errorf("%w: only mappings can be merged", ErrType)
			}
			if members, err = y.flatten(members, mapping, depth); err != nil {
				return nil, err
			}
		}
		return members, nil
	}
	return nil, fmt.Errorf("%w: only mappings can be merged", ErrType)
}

// key writes a member's name as json.dumps does with a key that is not a str: 1 is "1", True "true", None "null". Other types are refused there as well.
func (y *yamlReader) key(out []byte, node *yaml.Node) ([]byte, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("%w: a key that is not a scalar", ErrType)
	}
	if node.Value == "=" && isPlain(node) && tagOf(node) == "" { // means something elsewhere
		return append(out, `"="`...), nil
	}
	start := len(out)
	out, err := appendYAMLScalar(out, node)
	if err != nil {
		return nil, err
	}
	switch out[start] {
	case '"':
	case '{':
		return nil, fmt.Errorf("%w: a key that is neither a string nor a number", ErrType)
	default:
		out = appendQuoted(out[:start], string(out[start:]))
	}
	return out, y.take(len(out) - start)
}

// encodeYAML writes a value as YAML that PyYAML's safe_load reads. What PyYAML's safe_dump cannot write is ErrType: decimals, uuids and times.
func encodeYAML(value Raw) ([]byte, error) {
	parsed, err := ParseValue(value, unlimited)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	out, err := appendYAML(nil, parsed)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return append(out, '\n'), nil
}

// appendYAML writes flow style, which is JSON but for a few scalars.
func appendYAML(out []byte, value any) (_ []byte, err error) {
	switch v := value.(type) {
	case float64:
		return appendYAMLFloat(out, v), nil
	case string:
		return appendYAMLText(out, v), nil
	case []byte:
		return appendYAMLBinary(out, v), nil
	case DateTime:
		if _, offset := v.Zone(); offset%60 != 0 {
			return nil, fmt.Errorf("%w: YAML has no offsets with seconds", ErrType)
		}
		return append(append(append(out, `!!timestamp "`...), strings.Replace(v.String(), "T", " ", 1)...), '"'), nil
	case Date:
		return append(append(append(out, `!!timestamp "`...), v...), '"'), nil
	case []any:
		out = append(out, '[')
		for i, element := range v {
			if i > 0 {
				out = append(out, ", "...)
			}
			if out, err = appendYAML(out, element); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case *Map:
		return appendYAMLMap(out, v)
	case TimeOfDay, Decimal:
		return nil, fmt.Errorf("%w: PyYAML's safe_dump has no form for %T", ErrType, value)
	}
	raw, err := Marshal(value)
	if err != nil || len(raw) > 0 && raw[0] == '{' { // a uuid
		return nil, errors.Join(err, fmt.Errorf("%w: PyYAML's safe_dump has no form for %T", ErrType, value))
	}
	return append(out, raw...), nil
}

// longKey is where a YAML key needs a question mark in front: a parser looks no further than 1,024 characters for the colon.
const longKey = 1000

func appendYAMLMap(out []byte, v *Map) (_ []byte, err error) {
	out = append(out, '{')
	for i, member := range v.Members {
		if i > 0 {
			out = append(out, ", "...)
		}
		start := len(out)
		out = appendYAMLText(out, member.Name)
		if len(out)-start > longKey {
			out = append(append(out[:start], "? "...), appendYAMLText(nil, member.Name)...)
		}
		if out, err = appendYAML(append(out, ": "...), member.Value); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendYAMLText writes a double-quoted string. Its escapes are JSON's, but for the characters above U+FFFF: YAML does not join surrogates.
func appendYAMLText(out []byte, s string) []byte {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r > 0xFFFF }) < 0 {
		return appendQuoted(out, s)
	}
	out = append(out, '"')
	for i := 0; i < len(s); {
		r, size := decodeRune(s[i:])
		if r > 0xFFFF {
			out = fmt.Appendf(out, `\U%08x`, r)
		} else {
			quoted := appendQuoted(nil, s[i:i+size])
			out = append(out, quoted[1:len(quoted)-1]...)
		}
		i += size
	}
	return append(out, '"')
}
