package protocol

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// ParseValue reads a value and all that is in it. A value of kombu's JSON (kombu/utils/json.py) becomes, by its type in Python:
//
//	None bool   nil bool                  datetime  DateTime
//	int         int64, else *big.Int      date      Date
//	float       float64                   time      TimeOfDay
//	str         string                    Decimal   Decimal
//	bytes       []byte                    UUID      uuid.UUID
//	list        []any                     dict      *Map
//
// A lone surrogate in a string becomes the three bytes that UTF-8 would have for it; Marshal writes it back. An object of exactly __type__ and
// __value__ with an unknown type is ErrType, as it is an error in Python.
func ParseValue(raw Raw, lim Limits) (any, error) {
	lim = lim.withDefaults()
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w JSON: not UTF-8", ErrSyntax)
	}
	p := &valueParser{data: raw, budget: memoryFactor * lim.MaxBody}
	p.i = skipSpace(raw, 0)
	value, err := p.value(lim.MaxDepth)
	if err != nil {
		return nil, err
	}
	if p.i = skipSpace(raw, p.i); p.i != len(raw) {
		return nil, syntaxError(p.i, "extra data")
	}
	return value, nil
}

// memoryFactor is how much more memory parsed values may take than the text's own limit: "[[],[],...]" would take thirty times its length.
const memoryFactor = 4

// maxIntDigits bounds the work of reading one integer. Python from 3.11 on stops at 4,300 digits unless told otherwise.
const maxIntDigits = 100_000

// valueParser goes over the text once, from left to right.
type valueParser struct {
	data   []byte
	i      int
	budget int64
}

// take counts memory that a value will need.
func (p *valueParser) take(bytes int) error {
	if p.budget -= int64(bytes); p.budget < 0 {
		return fmt.Errorf("%w: its values take more memory than allowed", ErrTooLarge)
	}
	return nil
}

func (p *valueParser) value(depth int) (any, error) {
	if p.i >= len(p.data) {
		return nil, syntaxError(p.i, "unexpected end")
	}
	switch p.data[p.i] {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	}
	start := p.i
	end, err := scanValue(p.data, p.i, depth)
	if err != nil {
		return nil, err
	}
	p.i = end
	if err := p.take(16 + end - start); err != nil {
		return nil, err
	}
	return scalar(p.data[start:end])
}

// scalar is the value of scanned text that is neither an array nor an object.
func scalar(text []byte) (any, error) {
	switch text[0] {
	case '"':
		return unquote(text), nil
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case 'n':
		return nil, nil
	}
	return number(string(text))
}

func number(text string) (any, error) {
	switch text {
	case "NaN", "Infinity", "-Infinity":
		f, err := strconv.ParseFloat(text, 64)
		return f, err
	}
	if !isInteger(text) {
		f, _ := strconv.ParseFloat(text, 64) // too large is infinite, as in Python
		return f, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if len(text) > maxIntDigits {
		return nil, fmt.Errorf("%w: an integer of %d digits", ErrTooLarge, len(text))
	}
	n, _ := new(big.Int).SetString(text, 10)
	return n, nil
}

// isInteger tells an int from a float in a scanned number.
func isInteger(text string) bool {
	for i := range len(text) {
		if c := text[i]; c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

func (p *valueParser) array(depth int) (any, error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	elements := []any{}
	p.i = skipSpace(p.data, p.i+1)
	if p.at(']') {
		p.i++
		return elements, p.take(40)
	}
	for {
		element, err := p.value(depth - 1)
		if err != nil {
			return nil, err
		}
		if err := p.take(16); err != nil {
			return nil, err
		}
		elements = append(elements, element)
		if closed, err := p.next(']', "an array"); closed || err != nil {
			return elements, err
		}
	}
}

func (p *valueParser) object(depth int) (any, error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	object := mapBuilder{m: &Map{}}
	if err := p.take(64); err != nil {
		return nil, err
	}
	p.i = skipSpace(p.data, p.i+1)
	if p.at('}') {
		p.i++
		return object.m, nil
	}
	for {
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		value, err := p.value(depth - 1)
		if err != nil {
			return nil, err
		}
		object.set(key, value)
		closed, err := p.next('}', "an object")
		if err != nil {
			return nil, err
		}
		if closed {
			return typed(object.m)
		}
	}
}

// mapBuilder fills a Map. Of a repeated key the last value counts, at the place of the first, as in a Python dict.
type mapBuilder struct {
	m     *Map
	index map[string]int // where the keys are, once going over them takes longer
}

func (b *mapBuilder) set(key string, value any) {
	if i := b.find(key); i >= 0 {
		b.m.Members[i].Value = value
		return
	}
	b.m.Members = append(b.m.Members, MapMember{key, value})
	switch n := len(b.m.Members); {
	case b.index != nil:
		b.index[key] = n - 1
	case n == 16:
		b.index = make(map[string]int, 2*n)
		for i := range b.m.Members {
			b.index[b.m.Members[i].Name] = i
		}
	}
}

func (b *mapBuilder) find(key string) int {
	if b.index != nil {
		if i, ok := b.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range b.m.Members {
		if b.m.Members[i].Name == key {
			return i
		}
	}
	return -1
}

func (p *valueParser) key() (string, error) {
	if !p.at('"') {
		return "", syntaxError(p.i, "no key in an object")
	}
	end, err := scanString(p.data, p.i)
	if err != nil {
		return "", err
	}
	key := unquote(p.data[p.i:end])
	p.i = skipSpace(p.data, end)
	if !p.at(':') {
		return "", syntaxError(p.i, "no colon after a key")
	}
	p.i = skipSpace(p.data, p.i+1)
	return key, p.take(64 + len(key))
}

// next goes to the following element; closed tells that there is none.
func (p *valueParser) next(closing byte, what string) (closed bool, err error) {
	p.i = skipSpace(p.data, p.i)
	switch {
	case p.at(closing):
		p.i++
		return true, nil
	case !p.at(','):
		return false, syntaxError(p.i, what+" without end")
	}
	p.i = skipSpace(p.data, p.i+1)
	return false, nil
}

func (p *valueParser) at(c byte) bool { return p.i < len(p.data) && p.data[p.i] == c }

// typed is kombu's object_hook: an object of exactly __type__ and __value__ is a value of that type, any other is itself.
func typed(object *Map) (any, error) {
	if len(object.Members) != 2 {
		return object, nil
	}
	name, named := object.Get("__type__")
	content, filled := object.Get("__value__")
	if !named || !filled {
		return object, nil
	}
	kind, _ := name.(string)
	if kind == "uuid" {
		return typedUUID(content)
	}
	if n, ok := content.(int64); ok && kind == "decimal" {
		return ParseDecimal(strconv.FormatInt(n, 10))
	}
	text, ok := content.(string)
	if !ok {
		return nil, fmt.Errorf("%w: %.40v with a content that is not text", ErrType, name)
	}
	return typedText(kind, text)
}

func typedText(kind, text string) (any, error) {
	switch kind {
	case "datetime":
		t, naive, err := parseISODateTime(text)
		if err != nil {
			return nil, err
		}
		return DateTime{t, naive}, nil
	case "date":
		t, _, err := parseISODateTime(text)
		if err != nil {
			return nil, err
		}
		return Date(t.Format(time.DateOnly)), nil
	case "time":
		clock, ok := parseISOTime(strings.TrimPrefix(text, "T"))
		if !ok {
			return nil, isoError(text)
		}
		return TimeOfDay(appendISOTime(nil, clock.on(isoDate{2000, 1, 1}), clock.zone == nil)), nil
	case "decimal":
		return ParseDecimal(text)
	case "bytes":
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("%w: bytes with a lone surrogate", ErrType)
		}
		return []byte(text), nil
	case "base64":
		data, err := decodeBase64([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrType, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: kombu has no type %.40q", ErrType, kind)
}

// typedUUID reads {"hex": text}; Python passes the object's members to UUID() by name, so {"int": n} is one as well.
func typedUUID(content any) (any, error) {
	members, ok := content.(*Map)
	if !ok || len(members.Members) != 1 {
		return nil, fmt.Errorf("%w: a uuid is {\"hex\": ...}", ErrType)
	}
	name, content := members.Members[0].Name, members.Members[0].Value
	if text, ok := content.(string); ok && name == "hex" {
		return parseUUID(text)
	}
	if name != "int" {
		content = nil
	}
	var id uuid.UUID
	switch n := content.(type) {
	case int64:
		if n >= 0 {
			big.NewInt(n).FillBytes(id[:])
			return id, nil
		}
	case *big.Int:
		if n.Sign() >= 0 && n.BitLen() <= 128 {
			n.FillBytes(id[:])
			return id, nil
		}
	}
	return nil, fmt.Errorf("%w: a uuid is {\"hex\": ...}", ErrType)
}

// parseUUID reads what Python's UUID(hex) reads: hyphens anywhere, braces, and the prefixes urn: and uuid:.
func parseUUID(text string) (uuid.UUID, error) {
	digits := strings.ReplaceAll(strings.ReplaceAll(text, "urn:", ""), "uuid:", "")
	digits = strings.ReplaceAll(strings.Trim(digits, "{}"), "-", "")
	var id uuid.UUID
	if len(digits) != 32 {
		return id, fmt.Errorf("%w: %.80q is not a uuid", ErrType, text)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return id, fmt.Errorf("%w: %.80q is not a uuid", ErrType, text)
	}
	return id, nil
}

// typedRaw writes a typed value as kombu does.
func typedRaw(kind, text string) Raw {
	out := append([]byte(`{"__type__": "`), kind...)
	out = append(out, `", "__value__": `...)
	return append(appendQuoted(out, text), '}')
}

// bytesValue writes Python bytes as kombu's JSON does: as text where they are UTF-8, else as base64.
func bytesValue(data []byte) Raw {
	if utf8.Valid(data) {
		return typedRaw("bytes", string(data))
	}
	return typedRaw("base64", base64.StdEncoding.EncodeToString(data))
}
