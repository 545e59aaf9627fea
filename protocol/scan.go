package protocol

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The scanner finds the ends of values in JSON text as Python's json module reads it: NaN, Infinity and -Infinity are
// numbers, lone surrogates are characters, integers have any length. It allocates nothing.

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// scanValue returns the index after the value that begins at i. depth is how many levels may still be opened.
func scanValue(data []byte, i, depth int) (int, error) {
	if i >= len(data) {
		return i, syntaxError(i, "unexpected end")
	}
	switch c := data[i]; c {
	case '"':
		return scanString(data, i)
	case '{':
		return scanObject(data, i, depth)
	case '[':
		return scanArray(data, i, depth)
	case 't':
		return scanWord(data, i, "true")
	case 'f':
		return scanWord(data, i, "false")
	case 'n':
		return scanWord(data, i, "null")
	case 'N':
		return scanWord(data, i, "NaN")
	case 'I':
		return scanWord(data, i, "Infinity")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return scanNumber(data, i)
		}
		return i, syntaxError(i, fmt.Sprintf("unexpected %q", c))
	}
}

func scanWord(data []byte, i int, word string) (int, error) {
	if len(data)-i < len(word) || string(data[i:i+len(word)]) != word {
		return i, syntaxError(i, "unexpected word")
	}
	return i + len(word), nil
}

func scanNumber(data []byte, i int) (int, error) {
	start := i
	if data[i] == '-' {
		i++
		if i < len(data) && data[i] == 'I' {
			return scanWord(data, i, "Infinity")
		}
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else {
		digits := i
		i = scanDigits(data, i)
		if i == digits {
			return i, syntaxError(start, "a number without digits")
		}
	}
	if i+1 < len(data) && data[i] == '.' && isDigit(data[i+1]) {
		i = scanDigits(data, i+1)
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		j := i + 1
		if j < len(data) && (data[j] == '+' || data[j] == '-') {
			j++
		}
		if j < len(data) && isDigit(data[j]) {
			i = scanDigits(data, j)
		}
	}
	return i, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func scanDigits(data []byte, i int) int {
	for i < len(data) && isDigit(data[i]) {
		i++
	}
	return i
}

// scanString returns the index after the closing quote. Eight bytes are looked at in one step: a body is one long string.
func scanString(data []byte, i int) (int, error) {
	start := i
	i++
	for {
		for len(data)-i >= 8 {
			stop := specialBytes(binary.LittleEndian.Uint64(data[i:]))
			if stop == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(stop) / 8
			break
		}
		if i >= len(data) {
			return i, syntaxError(start, "a string without end")
		}
		switch c := data[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			end, err := scanEscape(data, i)
			if err != nil {
				return i, err
			}
			i = end
		case c < 0x20:
			return i, syntaxError(i, "a control character in a string")
		default:
			i++
		}
	}
}

// specialBytes has the high bit of each byte set that is a quote, a backslash or a control character. Bytes after the first hit may be
// set wrongly; only the first is used.
func specialBytes(word uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := word ^ (ones * '"')
	slash := word ^ (ones * '\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (word-ones*0x20)&^word) & highs
}

func scanEscape(data []byte, i int) (int, error) {
	if i+1 >= len(data) {
		return i, syntaxError(i, "a string without end")
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		if _, ok := hex4(data, i+2); ok {
			return i + 6, nil
		}
	}
	return i, syntaxError(i, "a bad escape")
}

// hex4 reads the four hexadecimal digits of a \u escape.
func hex4(data []byte, i int) (rune, bool) {
	if len(data)-i < 4 {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func scanArray(data []byte, i, depth int) (int, error) {
	return walkArray(data, i, depth, nil)
}

func scanObject(data []byte, i, depth int) (int, error) {
	return walkObject(data, i, depth, nil)
}

// walkArray calls visit with the bounds of each element of the array that begins at i, and returns the index after it. A nil visit only scans.
func walkArray(data []byte, i, depth int, visit func(start, end int) error) (int, error) {
	if depth <= 0 {
		return i, ErrTooDeep
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == ']' {
		return i + 1, nil
	}
	for {
		start := i
		end, err := scanValue(data, i, depth-1)
		if err != nil {
			return end, err
		}
		if visit != nil {
			if err := visit(start, end); err != nil {
				return end, err
			}
		}
		i = skipSpace(data, end)
		if i >= len(data) {
			return i, syntaxError(i, "an array without end")
		}
		if data[i] == ']' {
			return i + 1, nil
		}
		if data[i] != ',' {
			return i, syntaxError(i, "no comma between elements")
		}
		i = skipSpace(data, i+1)
	}
}

// walkObject calls visit with the bounds of each key (with its quotes) and value of the object that begins at i, and returns the index after it.
func walkObject(data []byte, i, depth int, visit func(keyStart, keyEnd, start, end int) error) (int, error) {
	if depth <= 0 {
		return i, ErrTooDeep
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return i, syntaxError(i, "no key in an object")
		}
		keyStart := i
		keyEnd, err := scanString(data, i)
		if err != nil {
			return keyEnd, err
		}
		i = skipSpace(data, keyEnd)
		if i >= len(data) || data[i] != ':' {
			return i, syntaxError(i, "no colon after a key")
		}
		start := skipSpace(data, i+1)
		end, err := scanValue(data, start, depth-1)
		if err != nil {
			return end, err
		}
		if visit != nil {
			if err := visit(keyStart, keyEnd, start, end); err != nil {
				return end, err
			}
		}
		i = skipSpace(data, end)
		if i >= len(data) {
			return i, syntaxError(i, "an object without end")
		}
		if data[i] == '}' {
			return i + 1, nil
		}
		if data[i] != ',' {
			return i, syntaxError(i, "no comma between members")
		}
		i = skipSpace(data, i+1)
	}
}

// checkWhole scans data as one value with nothing behind it.
func checkWhole(data []byte, depth int) error {
	i := skipSpace(data, 0)
	end, err := scanValue(data, i, depth)
	if err != nil {
		return err
	}
	if end = skipSpace(data, end); end != len(data) {
		return syntaxError(end, "extra data")
	}
	return nil
}

// memberScanner goes through the members of an object whose values the caller reads: after next the caller sets at to the index behind the value. It
// does walkObject's work where values should be read in the same pass.
type memberScanner struct {
	data  []byte
	at    int
	depth int
	begun bool
}

// open begins with the object at data[i].
func (s *memberScanner) open(i int) error {
	if s.depth <= 0 {
		return ErrTooDeep
	}
	if i >= len(s.data) || s.data[i] != '{' {
		return syntaxError(i, "no object")
	}
	s.at = i + 1
	return nil
}

// next gives a key with its quotes and the index of its value; at the end start is -1 and at is behind the object.
func (s *memberScanner) next() (key []byte, start int, err error) {
	data, i := s.data, skipSpace(s.data, s.at)
	switch {
	case i >= len(data):
		return nil, -1, syntaxError(i, "an object without end")
	case data[i] == '}':
		s.at = i + 1
		return nil, -1, nil
	case s.begun && data[i] != ',':
		return nil, -1, syntaxError(i, "no comma between members")
	case s.begun:
		i = skipSpace(data, i+1)
	}
	s.begun = true
	if i >= len(data) || data[i] != '"' {
		return nil, -1, syntaxError(i, "no key in an object")
	}
	end, err := scanString(data, i)
	if err != nil {
		return nil, -1, err
	}
	colon := skipSpace(data, end)
	if colon >= len(data) || data[colon] != ':' {
		return nil, -1, syntaxError(colon, "no colon after a key")
	}
	return data[i:end], skipSpace(data, colon+1), nil
}

// elementScanner is memberScanner for arrays.
type elementScanner struct {
	data  []byte
	at    int
	depth int
	begun bool
}

func (s *elementScanner) open(i int) error {
	if s.depth <= 0 {
		return ErrTooDeep
	}
	s.at = i + 1
	return nil
}

// next gives the index of an element; at the end it is -1 and at is behind the array.
func (s *elementScanner) next() (start int, err error) {
	data, i := s.data, skipSpace(s.data, s.at)
	switch {
	case i >= len(data):
		return -1, syntaxError(i, "an array without end")
	case data[i] == ']':
		s.at = i + 1
		return -1, nil
	case s.begun && data[i] != ',':
		return -1, syntaxError(i, "no comma between elements")
	case s.begun:
		i = skipSpace(data, i+1)
	}
	s.begun = true
	return i, nil
}
