package protocol

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Raw is one value as JSON text, the way Python's json module reads and writes it: NaN, Infinity and -Infinity are numbers, lone surrogates
// are characters, integers have any length. Typed values are kombu's objects {"__type__": t, "__value__": v}.
type Raw []byte

// Null is Python's None.
func Null() Raw { return Raw("null") }

// IsNull tells that the value is absent or null.
func (r Raw) IsNull() bool { return len(r) == 0 || string(r) == "null" }

// MarshalJSON gives the text as it is, so that a Raw inside a Go value is written unchanged.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of the text.
func (r *Raw) UnmarshalJSON(data []byte) error {
	*r = bytes.Clone(data)
	return nil
}

// Valid tells whether the text is one well-formed value within the depth limit.
func (r Raw) Valid(lim Limits) error {
	if !utf8.Valid(r) {
		return fmt.Errorf("%w JSON: not UTF-8", ErrSyntax)
	}
	return checkWhole(r, lim.withDefaults().MaxDepth)
}

// Elements splits an array into its elements. They share the text's memory.
func (r Raw) Elements() ([]Raw, error) {
	i := skipSpace(r, 0)
	if i >= len(r) || r[i] != '[' {
		return nil, fmt.Errorf("%w JSON: not an array", ErrSyntax)
	}
	var elements []Raw
	_, err := walkArray(r, i, maxNesting, func(start, end int) error {
		elements = append(elements, r[start:end:end])
		return nil
	})
	return elements, err
}

// Members splits an object into its members, in order. Values share the text's memory. Of a repeated name the last value counts, as in Python.
func (r Raw) Members() (Object, error) {
	i := skipSpace(r, 0)
	if i >= len(r) || r[i] != '{' {
		return nil, fmt.Errorf("%w JSON: not an object", ErrSyntax)
	}
	var object Object
	_, err := walkObject(r, i, maxNesting, func(keyStart, keyEnd, start, end int) error {
		object = append(object, Member{Name: unquote(r[keyStart:keyEnd]), Value: r[start:end:end]})
		return nil
	})
	return object.lastWins(), err
}

// maxNesting bounds the scanner where the caller has no limit of its own; text from outside has been checked against Limits before.
const maxNesting = 10_000

// Text gives the content of a JSON string; ok is false for any other value.
func (r Raw) Text() (text string, ok bool) {
	if len(r) < 2 || r[0] != '"' {
		return "", false
	}
	return unquote(r), true
}

// Quote writes a string as a JSON string.
func Quote(s string) Raw { return appendQuoted(make([]byte, 0, len(s)+2), s) }

// unquote gives the content of a scanned JSON string, quotes included in the text. A lone surrogate becomes the three bytes that UTF-8 would
// use for it if it were allowed there (Python's surrogatepass), so that appendQuoted can write it again.
func unquote(text []byte) string {
	if len(text) < 2 {
		return ""
	}
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	return string(appendUnescaped(make([]byte, 0, len(inner)), inner))
}

// appendUnescaped undoes the escapes of a scanned string's content.
func appendUnescaped(out, inner []byte) []byte {
	for i := 0; i < len(inner); {
		c := inner[i]
		if c != '\\' {
			next := bytes.IndexByte(inner[i:], '\\')
			if next < 0 {
				return append(out, inner[i:]...)
			}
			out = append(out, inner[i:i+next]...)
			i += next
			continue
		}
		switch e := inner[i+1]; e {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(inner, i+2)
			i += 6
			if utf16.IsSurrogate(r) && i+6 <= len(inner) && inner[i] == '\\' && inner[i+1] == 'u' {
				low, _ := hex4(inner, i+2)
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					out = utf8.AppendRune(out, pair)
					i += 6
					continue
				}
			}
			out = appendRune(out, r)
			continue
		default:
			out = append(out, e)
		}
		i += 2
	}
	return out
}

func appendRune(out []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0xBF, 0x80|byte(r)&0xBF)
	}
	return utf8.AppendRune(out, r)
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes a JSON string as Python's json.dumps does: ASCII only, surrogate pairs above U+FFFF. Bytes that are not UTF-8 become U+FFFD,
// except encoded surrogates, which are written as such.
func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7F && c != '"' && c != '\\' {
			i++
			continue
		}
		out = append(out, s[start:i]...)
		if c < utf8.RuneSelf {
			out = appendEscaped(out, c)
			i++
		} else {
			r, size := decodeRune(s[i:])
			out = appendUnicode(out, r)
			i += size
		}
		start = i
	}
	return append(append(out, s[start:]...), '"')
}

func appendEscaped(out []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(out, '\\', c)
	case '\b':
		return append(out, '\\', 'b')
	case '\f':
		return append(out, '\\', 'f')
	case '\n':
		return append(out, '\\', 'n')
	case '\r':
		return append(out, '\\', 'r')
	case '\t':
		return append(out, '\\', 't')
	}
	return appendUnicode(out, rune(c))
}

func appendUnicode(out []byte, r rune) []byte {
	if r > 0xFFFF {
		high, low := utf16.EncodeRune(r)
		return appendUnicode(appendUnicode(out, high), low)
	}
	return append(out, '\\', 'u', hexDigits[r>>12&0xF], hexDigits[r>>8&0xF], hexDigits[r>>4&0xF], hexDigits[r&0xF])
}

// decodeRune is utf8.DecodeRuneInString that also reads surrogates.
func decodeRune(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 && len(s) >= 3 && s[0] == 0xED && s[1] >= 0xA0 && s[1] <= 0xBF && s[2]&0xC0 == 0x80 {
		return rune(s[0]&0x0F)<<12 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return r, size
}
