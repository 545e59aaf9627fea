package protocol

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// randomValues makes kombu JSON text as Python could have sent it: every type, odd strings, odd numbers.
type randomValues struct {
	*rand.Rand
	types  []int // the typed values to make, by their case in typed(); nil for all
	repeat bool  // make large objects with repeated keys
}

func newRandomValues(seed uint64) randomValues {
	return randomValues{Rand: rand.New(rand.NewPCG(seed, 42))}
}

func (r randomValues) value(depth int) string {
	kind := r.IntN(18)
	if depth <= 0 && kind >= 14 {
		kind = r.IntN(14)
	}
	switch kind {
	case 0:
		return []string{"null", "true", "false", "NaN", "Infinity", "-Infinity", "-0", "0", "0.0", "-0.0", "1.0", "1"}[r.IntN(12)]
	case 1, 2:
		return r.integer()
	case 3, 4:
		return r.float()
	case 5, 6, 7:
		return r.text()
	case 8, 9, 10, 11:
		return r.typed()
	case 12:
		return "[]"
	case 13:
		return "{}"
	case 14, 15:
		elements := make([]string, r.IntN(5))
		for i := range elements {
			elements[i] = r.value(depth - 1)
		}
		return "[" + strings.Join(elements, ", ") + "]"
	}
	var members []string
	seen := map[string]bool{}
	if r.repeat && r.IntN(4) == 0 {
		for range r.IntN(60) {
			members = append(members, fmt.Sprintf("\"%d\": %s", r.IntN(40), r.value(0)))
		}
	}
	for range r.IntN(5) {
		if key := r.text(); !seen[key] {
			seen[key] = true
			members = append(members, key+": "+r.value(depth-1))
		}
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func (r randomValues) integer() string {
	if r.IntN(4) == 0 {
		digits := strconv.Itoa(1 + r.IntN(9))
		for range r.IntN(60) {
			digits += strconv.Itoa(r.IntN(10))
		}
		return []string{"", "-"}[r.IntN(2)] + digits
	}
	return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
}

func (r randomValues) float() string {
	f := math.Float64frombits(r.Uint64())
	switch r.IntN(4) {
	case 0:
		f = math.Round(r.Float64()*1e6) / 1e3
	case 1:
		f = math.Trunc(f)
	case 2:
		f = math.Ldexp(r.Float64(), r.IntN(140)-60)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "1e999"
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// runes that are treated in a special way somewhere: quotes, escapes, what is not printable, what is not ASCII, lone surrogates.
var oddRunes = []rune{'\'', '"', '\\', '/', '\n', '\t', '\r', 0, 0x1F, 0x7F, 0x85, 0xA0, 0xAD, 'é', 'ß', 0x2028, 0x200B, 0x3000, '漢', 0xD800, 0xDFFF, 0xE000,
	0xFEFF, 0xFFFD, 0xFFFF, '😀', 0x1F1E6, 0xE0001, 0x10FFFF, ' ', ' ', ':', '-', '{'}

func (r randomValues) text() string {
	var out []byte
	if r.IntN(4) > 0 {
		for range r.IntN(14) {
			out = append(out, byte(' '+r.IntN(95)))
		}
		return string(appendQuoted(nil, string(out)))
	}
	for range r.IntN(20) {
		if r.IntN(2) == 0 {
			out = append(out, byte('a'+r.IntN(26)))
			continue
		}
		out = appendRune(out, oddRunes[r.IntN(len(oddRunes))])
	}
	return string(appendQuoted(nil, string(out)))
}

func (r randomValues) typed() string {
	kind := r.IntN(6)
	if r.types != nil {
		kind = r.types[r.IntN(len(r.types))]
	}
	switch kind {
	case 0:
		return string(typedRaw("datetime", r.date()+"T"+r.clock()))
	case 1:
		return string(typedRaw("date", r.date()))
	case 2:
		return string(typedRaw("time", r.clock()))
	case 3:
		return string(typedRaw("decimal", r.decimal()))
	case 4:
		return fmt.Sprintf(`{"__type__": "uuid", "__value__": {"hex": "%016x%016x"}}`, r.Uint64(), r.Uint64())
	}
	data := make([]byte, r.IntN(20))
	for i := range data {
		data[i] = byte(r.IntN(128))
		if r.IntN(40) == 0 {
			data[i] = byte(r.IntN(256))
		}
	}
	return string(bytesValue(data))
}

func (r randomValues) date() string {
	return fmt.Sprintf("%04d-%02d-%02d", 1+r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28))
}

func (r randomValues) clock() string {
	text := fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60)*r.IntN(2))
	if r.IntN(2) == 0 {
		text += fmt.Sprintf(".%06d", 1+r.IntN(999_999))
	}
	switch r.IntN(4) {
	case 0:
		text += "+00:00"
	case 1:
		text += fmt.Sprintf("%c%02d:%02d", "+-"[r.IntN(2)], r.IntN(24), r.IntN(60))
	case 2:
		if r.IntN(4) == 0 {
			text += "-01:02:03"
		}
	}
	return text
}

func (r randomValues) decimal() string {
	switch r.IntN(8) {
	case 0:
		return []string{"NaN", "-Infinity", "inf", "sNaN12", "0", "-0.00", "0E+3", "1e-7", "0.000001", "0.0000001", "12E5", " 1_000.5 "}[r.IntN(12)]
	case 1:
		return fmt.Sprintf("%d.%dE%+d", r.IntN(100), r.IntN(100000), r.IntN(60)-30)
	}
	return fmt.Sprintf("%d.%03d", r.IntN(1_000_000)-500_000, r.IntN(1000))
}
