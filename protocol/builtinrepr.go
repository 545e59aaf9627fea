package protocol

import (
	"bytes"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// appendRepr writes a value of ParseValue as Python's repr().
func appendRepr(out []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(out, "None"...)
	case bool:
		if v {
			return append(out, "True"...)
		}
		return append(out, "False"...)
	case int64:
		return strconv.AppendInt(out, v, 10)
	case *big.Int:
		return v.Append(out, 10)
	case float64:
		return appendFloat(out, v, 64)
	case string:
		return appendReprText(out, v)
	case []byte:
		return appendReprBytes(out, v)
	case DateTime:
		return appendReprDateTime(out, v)
	case Date:
		t := v.Time()
		return fmt.Appendf(out, "datetime.date(%d, %d, %d)", t.Year(), t.Month(), t.Day())
	case TimeOfDay:
		return appendReprTime(out, v)
	case Decimal:
		return append(append(append(out, "Decimal('"...), v...), "')"...)
	case uuid.UUID:
		return append(append(append(out, "UUID('"...), v.String()...), "')"...)
	case []any:
		return appendReprList(out, v)
	case *Map:
		return appendReprDict(out, v)
	}
	return fmt.Append(out, value)
}

func appendReprList(out []byte, v []any) []byte {
	out = append(out, '[')
	for i, element := range v {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = appendRepr(out, element)
	}
	return append(out, ']')
}

func appendReprDict(out []byte, v *Map) []byte {
	out = append(out, '{')
	for i, member := range v.Members {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(appendReprText(out, member.Name), ": "...)
		out = appendRepr(out, member.Value)
	}
	return append(out, '}')
}

// appendReprText writes a str: in single quotes, but in double ones when that saves escapes. What Python's str.isprintable refuses is escaped; the
// two sides' Unicode versions may differ on the newest characters.
func appendReprText(out []byte, s string) []byte {
	quote := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		quote = '"'
	}
	out = append(out, quote)
	for i := 0; i < len(s); {
		r, size := decodeRune(s[i:])
		if r >= 0x7F && unicode.IsPrint(r) && (r != unicode.ReplacementChar || size == 3) {
			out = append(out, s[i:i+size]...)
		} else {
			out = appendReprRune(out, r, quote)
		}
		i += size
	}
	return append(out, quote)
}

func appendReprRune(out []byte, r rune, quote byte) []byte {
	switch {
	case r == rune(quote), r == '\\':
		return append(out, '\\', byte(r))
	case r == '\n':
		return append(out, '\\', 'n')
	case r == '\r':
		return append(out, '\\', 'r')
	case r == '\t':
		return append(out, '\\', 't')
	case r >= 0x20 && r < 0x7F:
		return append(out, byte(r))
	case r <= 0xFF:
		return append(out, '\\', 'x', hexDigits[r>>4], hexDigits[r&0xF])
	case r <= 0xFFFF:
		return appendUnicode(out, r)
	}
	return fmt.Appendf(out, `\U%08x`, r)
}

func appendReprBytes(out, data []byte) []byte {
	quote := byte('\'')
	if bytes.IndexByte(data, '\'') >= 0 && bytes.IndexByte(data, '"') < 0 {
		quote = '"'
	}
	out = append(out, 'b', quote)
	for _, c := range data {
		out = appendReprRune(out, rune(c), quote)
	}
	return append(out, quote)
}

func appendReprDateTime(out []byte, v DateTime) []byte {
	out = fmt.Appendf(out, "datetime.datetime(%d, %d, %d, %d, %d", v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute())
	return append(appendReprRest(out, v.Time, v.Naive), ')')
}

func appendReprTime(out []byte, v TimeOfDay) []byte {
	clock, _ := parseISOTime(string(v))
	out = fmt.Appendf(out, "datetime.time(%d, %d", clock.hour, clock.minute)
	return append(appendReprRest(out, clock.on(isoDate{2000, 1, 1}), clock.zone == nil), ')')
}

// appendReprRest writes seconds and microseconds, which Python leaves out when they are zero, and the time zone.
func appendReprRest(out []byte, t time.Time, naive bool) []byte {
	micro := t.Nanosecond() / 1000
	if t.Second() > 0 || micro > 0 {
		out = fmt.Appendf(out, ", %d", t.Second())
	}
	if micro > 0 {
		out = fmt.Appendf(out, ", %d", micro)
	}
	if naive {
		return out
	}
	_, offset := t.Zone()
	switch {
	case offset == 0:
		return append(out, ", tzinfo=datetime.timezone.utc"...)
	case offset > 0:
		return fmt.Appendf(out, ", tzinfo=datetime.timezone(datetime.timedelta(seconds=%d))", offset)
	}
	return fmt.Appendf(out, ", tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=%d))", 24*3600+offset)
}
