package protocol

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decodeYAML translates YAML, as PyYAML's safe_load reads it, into JSON text: timestamps and binary become kombu's typed values.
func decodeYAML(data []byte, lim Limits) (Raw, error) {
	if nested(data) > lim.MaxDepth {
		return nil, ErrTooDeep // before the parser, which recurses
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%w YAML: %s", ErrSyntax, yaml.FormatError(err, false, false))
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("%w YAML: %d documents", ErrSyntax, len(file.Docs))
	}
	y := yamlReader{anchors: map[string]ast.Node{}, most: lim.MaxBody}
	return y.value(nil, file.Docs[0].Body, lim.MaxDepth)
}

// nested is an upper bound of the depth of flow collections and indentation.
func nested(data []byte) int {
	depth, most := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		most = max(most, depth)
	}
	for _, line := range strings.Split(string(data), "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " -"))
		most = max(most, indent)
	}
	return most
}

type yamlReader struct {
	anchors map[string]ast.Node
	most    int64
}

func (y *yamlReader) value(out []byte, node ast.Node, depth int) ([]byte, error) {
	if depth < 0 {
		return nil, ErrTooDeep
	}
	if int64(len(out)) > y.most { // also what stops a bomb of aliases
		return nil, ErrTooLarge
	}
	switch n := node.(type) {
	case nil:
		return append(out, "null"...), nil
	case *ast.NullNode:
		return append(out, "null"...), nil
	case *ast.BoolNode:
		return strconv.AppendBool(out, n.Value), nil
	case *ast.IntegerNode:
		return yamlInteger(out, n.GetToken().Value)
	case *ast.FloatNode:
		return AppendFloat(out, n.Value), nil
	case *ast.InfinityNode:
		return AppendFloat(out, n.Value), nil
	case *ast.NanNode:
		return append(out, "NaN"...), nil
	case *ast.StringNode:
		return yamlString(out, n), nil
	case *ast.LiteralNode:
		return appendQuoted(out, n.Value.Value), nil
	case *ast.AnchorNode:
		y.anchors[n.Name.GetToken().Value] = n.Value
		return y.value(out, n.Value, depth)
	case *ast.AliasNode:
		target, ok := y.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, fmt.Errorf("%w YAML: an alias without its anchor", ErrSyntax)
		}
		return y.value(out, target, depth-1)
	case *ast.TagNode:
		return y.tagged(out, n, depth)
	case *ast.SequenceNode:
		return y.sequence(out, n, depth)
	case *ast.MappingNode:
		return y.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		return y.mapping(out, []*ast.MappingValueNode{n}, depth)
	}
	return nil, fmt.Errorf("%w YAML: a %s", ErrType, node.Type())
}

func (y *yamlReader) sequence(out []byte, n *ast.SequenceNode, depth int) (_ []byte, err error) {
	out = append(out, '[')
	for i, element := range n.Values {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		if out, err = y.value(out, element, depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func (y *yamlReader) mapping(out []byte, values []*ast.MappingValueNode, depth int) ([]byte, error) {
	out = append(out, '{')
	for i, member := range values {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		key, err := y.value(nil, member.Key, 1)
		if err != nil {
			return nil, err
		}
		out = append(append(out, keyText(key)...), ':', ' ')
		if out, err = y.value(out, member.Value, depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func (y *yamlReader) tagged(out []byte, n *ast.TagNode, depth int) ([]byte, error) {
	text := ""
	if scalar, ok := n.Value.(ast.ScalarNode); ok {
		text = fmt.Sprint(scalar.GetValue())
	}
	switch n.Start.Value {
	case "!!binary":
		data, err := decodeBase64([]byte(text))
		if err != nil {
			return nil, err
		}
		return append(out, bytesValue(data)...), nil
	case "!!str":
		return appendQuoted(out, text), nil
	case "!!int":
		return yamlInteger(out, text)
	case "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!timestamp":
		return y.value(out, n.Value, depth)
	case "!!python/tuple", "!!set", "!!omap":
		return y.value(out, n.Value, depth)
	}
	return nil, fmt.Errorf("%w YAML: tag %s", ErrType, n.Start.Value)
}

func yamlInteger(out []byte, text string) ([]byte, error) {
	n, ok := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 0)
	if !ok {
		return nil, fmt.Errorf("%w YAML: integer %q", ErrSyntax, text)
	}
	return n.Append(out, 10), nil
}

// yamlTimestamp is PyYAML's own pattern of what a plain scalar must look like to be a date or a datetime.
var yamlTimestamp = regexp.MustCompile(`^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|[-+]\d\d?(?::?\d\d)?))?)?$`)

// yamlString writes a scalar; plain ones may be timestamps or the old booleans of YAML 1.1, which PyYAML still reads.
func yamlString(out []byte, n *ast.StringNode) []byte {
	token := n.GetToken()
	if token.Type.String() != "String" { // quoted
		return appendQuoted(out, n.Value)
	}
	switch n.Value {
	case "yes", "Yes", "YES", "on", "On", "ON":
		return append(out, "true"...)
	case "no", "No", "NO", "off", "Off", "OFF":
		return append(out, "false"...)
	}
	parts := yamlTimestamp.FindStringSubmatch(n.Value)
	if parts == nil {
		return appendQuoted(out, n.Value)
	}
	if parts[4] == "" {
		if t, err := time.Parse("2006-1-2", n.Value); err == nil {
			return append(out, typedRaw("date", t.Format(time.DateOnly))...)
		}
		return appendQuoted(out, n.Value)
	}
	text := n.Value
	for _, layout := range []string{"2006-1-2 15:04:05.999999999", "2006-1-2T15:04:05.999999999", "2006-1-2 15:04:05.999999999Z07:00", "2006-1-2T15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			iso := DateTime{Time: t}.String()
			if !strings.Contains(layout, "Z07") {
				iso = strings.TrimSuffix(iso, "+00:00")
			}
			return append(out, typedRaw("datetime", iso)...)
		}
	}
	return appendQuoted(out, n.Value)
}

// encodeYAML writes a value as YAML. JSON is YAML where it is ASCII, has no typed values and no NaN; those are written in YAML's own way.
func encodeYAML(value Raw) ([]byte, error) {
	parsed, err := ParseValue(value, Limits{MaxDepth: maxNesting})
	if err != nil {
		return nil, err
	}
	return yamlAppend(nil, parsed)
}

// yamlAppend writes flow style, which PyYAML reads like any other.
func yamlAppend(out []byte, value any) (_ []byte, err error) {
	switch v := value.(type) {
	case float64:
		return yamlFloat(out, v), nil
	case []byte:
		return append(append(append(out, `!!binary "`...), base64Text(v)...), '"'), nil
	case DateTime:
		text := DateTime{Time: v.Time}.String()
		if v.Naive {
			text = strings.TrimSuffix(text, "+00:00")
		}
		return append(out, text...), nil
	case Date:
		return append(out, v...), nil
	case []any:
		out = append(out, '[')
		for i, element := range v {
			if i > 0 {
				out = append(out, ", "...)
			}
			if out, err = yamlAppend(out, element); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case *Map:
		out = append(out, '{')
		for i, member := range v.Members {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(appendQuoted(out, member.Name), ": "...)
			if out, err = yamlAppend(out, member.Value); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case nil, bool, int64, *big.Int, string:
		raw, err := Marshal(v)
		return append(out, raw...), err
	}
	return nil, fmt.Errorf("write YAML: %w: YAML in Python has no form for %T", ErrType, value)
}

// yamlFloat writes a float so that PyYAML's pattern for floats takes it: a point before the exponent, .nan and .inf.
func yamlFloat(out []byte, f float64) []byte {
	text := string(AppendFloat(nil, f))
	switch text {
	case "NaN":
		return append(out, ".nan"...)
	case "Infinity":
		return append(out, ".inf"...)
	case "-Infinity":
		return append(out, "-.inf"...)
	}
	if mantissa, exponent, ok := strings.Cut(text, "e"); ok && !strings.Contains(mantissa, ".") {
		text = mantissa + ".0e" + exponent
	}
	return append(out, text...)
}

func base64Text(data []byte) []byte { return base64.StdEncoding.AppendEncode(nil, data) }
