package protocol

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Repr writes a value as Python's repr() would, cut after most characters with "..." as Celery's saferepr does (0: not cut). Text that cannot be
// decoded is given as it is.
func Repr(raw Raw, most int) string {
	value, err := ParseValue(raw, Limits{})
	if err != nil {
		return cut(string(raw), most)
	}
	w := reprWriter{most: most}
	w.value(value)
	return cut(w.out.String(), most)
}

// ReprArgs writes positional arguments as Python's repr of a tuple.
func ReprArgs(args []Raw, most int) string {
	w := reprWriter{most: most}
	w.out.WriteByte('(')
	for i, arg := range args {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.raw(arg)
	}
	if len(args) == 1 {
		w.out.WriteByte(',')
	}
	w.out.WriteByte(')')
	return cut(w.out.String(), most)
}

// ReprKwargs writes keyword arguments as Python's repr of a dict.
func ReprKwargs(kwargs Object, most int) string {
	w := reprWriter{most: most}
	w.out.WriteByte('{')
	for i, member := range kwargs {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.text(member.Name)
		w.out.WriteString(": ")
		w.raw(member.Value)
	}
	w.out.WriteByte('}')
	return cut(w.out.String(), most)
}

func cut(text string, most int) string {
	if most <= 0 || utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(0, most-3)]) + "..."
}

type reprWriter struct {
	out  strings.Builder
	most int
}

// full tells that nothing more will be seen.
func (w *reprWriter) full() bool { return w.most > 0 && w.out.Len() > 4*w.most+16 }

func (w *reprWriter) raw(raw Raw) {
	if w.full() {
		return
	}
	value, err := ParseValue(raw, Limits{})
	if err != nil {
		w.out.Write(raw)
		return
	}
	w.value(value)
}

func (w *reprWriter) value(value any) {
	if w.full() {
		return
	}
	switch v := value.(type) {
	case nil:
		w.out.WriteString("None")
	case bool:
		w.out.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case *big.Int:
		w.out.WriteString(v.String())
	case float64:
		w.out.WriteString(reprFloat(v))
	case string:
		w.text(v)
	case []byte:
		w.bytes(v)
	case DateTime:
		w.datetime(v)
	case Date:
		t, _ := time.Parse(time.DateOnly, string(v))
		fmt.Fprintf(&w.out, "datetime.date(%d, %d, %d)", t.Year(), t.Month(), t.Day())
	case TimeOfDay:
		w.timeOfDay(string(v))
	case Decimal:
		fmt.Fprintf(&w.out, "Decimal('%s')", string(v))
	case uuid.UUID:
		fmt.Fprintf(&w.out, "UUID('%s')", v)
	case []any:
		w.list(v)
	case *Map:
		w.dict(v)
	}
}

func (w *reprWriter) list(v []any) {
	w.out.WriteByte('[')
	for i, element := range v {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.value(element)
	}
	w.out.WriteByte(']')
}

func (w *reprWriter) dict(v *Map) {
	w.out.WriteByte('{')
	for i, member := range v.Members {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.text(member.Name)
		w.out.WriteString(": ")
		w.value(member.Value)
	}
	w.out.WriteByte('}')
}

func reprFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return string(AppendFloat(nil, f))
}

// text writes a str: single quotes unless that needs escapes and double quotes do not.
func (w *reprWriter) text(s string) {
	quote := byte('\'')
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	w.out.WriteByte(quote)
	for i := 0; i < len(s) && !w.full(); {
		r, size := decodeRune(s[i:])
		i += size
		w.rune(r, quote)
	}
	w.out.WriteByte(quote)
}

func (w *reprWriter) rune(r rune, quote byte) {
	switch {
	case r == rune(quote) || r == '\\':
		w.out.WriteByte('\\')
		w.out.WriteRune(r)
	case r == '\n':
		w.out.WriteString(`\n`)
	case r == '\r':
		w.out.WriteString(`\r`)
	case r == '\t':
		w.out.WriteString(`\t`)
	case r == ' ' || r < 0x7F && r >= 0x20 || r >= 0x7F && unicode.IsPrint(r):
		w.out.WriteRune(r)
	case r <= 0xFF:
		fmt.Fprintf(&w.out, `\x%02x`, r)
	case r <= 0xFFFF:
		fmt.Fprintf(&w.out, `\u%04x`, r)
	default:
		fmt.Fprintf(&w.out, `\U%08x`, r)
	}
}

func (w *reprWriter) bytes(data []byte) {
	quote := byte('\'')
	if strings.ContainsRune(string(data), '\'') && !strings.ContainsRune(string(data), '"') {
		quote = '"'
	}
	w.out.WriteByte('b')
	w.out.WriteByte(quote)
	for _, c := range data {
		switch {
		case c == quote || c == '\\':
			w.out.WriteByte('\\')
			w.out.WriteByte(c)
		case c == '\n':
			w.out.WriteString(`\n`)
		case c == '\r':
			w.out.WriteString(`\r`)
		case c == '\t':
			w.out.WriteString(`\t`)
		case c >= 0x20 && c < 0x7F:
			w.out.WriteByte(c)
		default:
			fmt.Fprintf(&w.out, `\x%02x`, c)
		}
		if w.full() {
			break
		}
	}
	w.out.WriteByte(quote)
}

func (w *reprWriter) datetime(v DateTime) {
	fmt.Fprintf(&w.out, "datetime.datetime(%d, %d, %d, %d, %d", v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute())
	w.seconds(v.Second(), v.Nanosecond()/1000)
	if !v.Naive {
		w.out.WriteString(", tzinfo=")
		w.zone(v.Time)
	}
	w.out.WriteByte(')')
}

// seconds writes what Python leaves out when it is zero.
func (w *reprWriter) seconds(second, micro int) {
	if second > 0 || micro > 0 {
		fmt.Fprintf(&w.out, ", %d", second)
	}
	if micro > 0 {
		fmt.Fprintf(&w.out, ", %d", micro)
	}
}

func (w *reprWriter) zone(t time.Time) {
	_, offset := t.Zone()
	switch {
	case offset == 0:
		w.out.WriteString("datetime.timezone.utc")
	case offset > 0:
		fmt.Fprintf(&w.out, "datetime.timezone(datetime.timedelta(seconds=%d))", offset)
	default:
		fmt.Fprintf(&w.out, "datetime.timezone(datetime.timedelta(days=-1, seconds=%d))", 86400+offset)
	}
}

func (w *reprWriter) timeOfDay(text string) {
	t, err := ParseTime("2000-01-01T" + text)
	if err != nil {
		w.text(text)
		return
	}
	fmt.Fprintf(&w.out, "datetime.time(%d, %d", t.Hour(), t.Minute())
	w.seconds(t.Second(), t.Nanosecond()/1000)
	if !t.Naive {
		w.out.WriteString(", tzinfo=")
		w.zone(t.Time)
	}
	w.out.WriteByte(')')
}
