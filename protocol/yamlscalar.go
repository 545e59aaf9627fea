package protocol

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a scalar means to PyYAML's safe_load: YAML 1.1, by the patterns of yaml/resolver.py and the rules of yaml/constructor.py.

func isPlain(node *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return node.Style&quoted == 0
}

func appendYAMLScalar(out []byte, node *yaml.Node) ([]byte, error) {
	tag := tagOf(node)
	if tag == "" {
		tag = "!!str"
		if isPlain(node) {
			tag = yamlTag(node.Value)
		}
	}
	text := node.Value
	switch tag {
	case "!!str":
		return appendQuoted(out, text), nil
	case "!!null":
		return append(out, "null"...), nil
	case "!!bool":
		switch strings.ToLower(text) {
		case "yes", "true", "on":
			return append(out, "true"...), nil
		case "no", "false", "off":
			return append(out, "false"...), nil
		}
	case "!!int":
		if n, ok := yamlInt(text); ok {
			return n.Append(out, 10), nil
		}
	case "!!float":
		if f, ok := yamlFloat(text); ok {
			return AppendFloat(out, f), nil
		}
	case "!!timestamp":
		if raw, ok := yamlTimestamp(text, false); ok {
			return append(out, raw...), nil
		}
	case "!!binary":
		if data, err := decodeBase64([]byte(text)); err == nil {
			return append(out, bytesValue(data)...), nil
		}
	default:
		return nil, unknownTag(tag)
	}
	return nil, fmt.Errorf("%w: %.60q is no %s", ErrType, text, tag)
}

// yamlTag finds the type of a plain scalar.
func yamlTag(text string) string {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return "!!null"
	case "yes", "Yes", "YES", "no", "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF":
		return "!!bool"
	case "<<":
		return "!!merge"
	case "=":
		return "!!value"
	}
	if c := text[0]; c != '-' && c != '+' && c != '.' && !isDigit(c) {
		return "!!str"
	}
	switch {
	case looksFloat(text):
		return "!!float"
	case looksInt(text):
		return "!!int"
	}
	if _, ok := yamlTimestamp(text, true); ok {
		return "!!timestamp"
	}
	return "!!str"
}

func unsigned(text string) string {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		return text[1:]
	}
	return text
}

// only tells that text has nothing but the given characters and underscores, and is not empty.
func only(text, characters string) bool {
	return text != "" && strings.Trim(text, characters+"_") == ""
}

const decimals = "0123456789"

// looksInt is the resolver's pattern for integers: binary, octal, decimal, hexadecimal and base 60.
func looksInt(text string) bool {
	text = unsigned(text)
	switch {
	case text == "":
		return false
	case text == "0":
		return true
	case strings.HasPrefix(text, "0b"):
		return only(text[2:], "01")
	case strings.HasPrefix(text, "0x"):
		return only(text[2:], "0123456789abcdefABCDEF")
	case text[0] == '0':
		return only(text[1:], "01234567")
	}
	whole, sixties, based60 := strings.Cut(text, ":")
	return isDigit(text[0]) && only(whole, decimals) && (!based60 || looksSixties(sixties))
}

// looksSixties is the rest of a number of base 60: 0 to 59, any number of times.
func looksSixties(text string) bool {
	for part := range strings.SplitSeq(text, ":") {
		if len(part) < 1 || len(part) > 2 || !allDigits(part) || len(part) == 2 && part[0] > '5' {
			return false
		}
	}
	return true
}

// looksFloat is the resolver's pattern for floats: with a point always, and an exponent only with a sign.
func looksFloat(text string) bool {
	switch text {
	case ".nan", ".NaN", ".NAN":
		return true
	}
	rest := unsigned(text)
	switch rest {
	case ".inf", ".Inf", ".INF":
		return true
	}
	whole, fraction, pointed := strings.Cut(rest, ".")
	if !pointed {
		return false
	}
	if mantissa, sixties, based60 := strings.Cut(whole, ":"); based60 {
		return only(mantissa, decimals) && isDigit(mantissa[0]) && looksSixties(sixties) && (fraction == "" || only(fraction, decimals))
	}
	if at := strings.IndexAny(fraction, "eE"); at >= 0 {
		exponent := fraction[at+1:]
		if len(exponent) < 2 || unsigned(exponent) == exponent || !allDigits(exponent[1:]) {
			return false
		}
		fraction = fraction[:at]
	}
	if whole == "" { // no sign, and a digit first
		return rest == text && fraction != "" && isDigit(fraction[0]) && only(fraction, decimals)
	}
	return isDigit(whole[0]) && only(whole, decimals) && (fraction == "" || only(fraction, decimals))
}

func yamlInt(text string) (*big.Int, bool) {
	text = strings.ReplaceAll(text, "_", "")
	negative := strings.HasPrefix(text, "-")
	text = unsigned(text)
	n := new(big.Int)
	ok := text != "" && len(text) <= maxIntDigits
	switch {
	case !ok || text == "0":
	case strings.HasPrefix(text, "0b"):
		ok = only(text[2:], "01") && setBig(n, text[2:], 2)
	case strings.HasPrefix(text, "0x"):
		ok = only(text[2:], "0123456789abcdefABCDEF") && setBig(n, text[2:], 16)
	case text[0] == '0':
		ok = only(text, "01234567") && setBig(n, text, 8)
	case strings.Contains(text, ":"):
		n, ok = sixties(text)
	default:
		ok = allDigits(text) && setBig(n, text, 10)
	}
	if negative {
		n.Neg(n)
	}
	return n, ok
}

func setBig(n *big.Int, text string, base int) bool {
	_, ok := n.SetString(text, base)
	return ok
}

func sixties(text string) (*big.Int, bool) {
	n, sixty := new(big.Int), big.NewInt(60)
	if len(text) > 10_000 { // each step costs the length of the number
		return n, false
	}
	for part := range strings.SplitSeq(text, ":") {
		digit, ok := new(big.Int), allDigits(part) && part != ""
		if !ok || !setBig(digit, part, 10) {
			return n, false
		}
		n.Add(n.Mul(n, sixty), digit)
	}
	return n, true
}

func yamlFloat(text string) (float64, bool) {
	text = strings.ToLower(strings.ReplaceAll(text, "_", ""))
	sign := 1.0
	if strings.HasPrefix(text, "-") {
		sign = -1
	}
	text = unsigned(text)
	switch text {
	case ".inf":
		return math.Inf(int(sign)), true
	case ".nan":
		return math.NaN(), true
	}
	if !strings.Contains(text, ":") {
		f, ok := pythonFloat(text)
		return sign * f, ok
	}
	parts := strings.Split(text, ":")
	total, base := 0.0, 1.0
	for i := len(parts) - 1; i >= 0; i-- {
		digit, ok := pythonFloat(parts[i])
		if !ok {
			return 0, false
		}
		total += digit * base
		base *= 60
	}
	return sign * total, true
}

// pythonFloat is Python's float() of text without underscores.
func pythonFloat(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "xXpP_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil || math.IsInf(f, 0)
}

// yamlTimestamp reads a date or a datetime. A plain scalar (strict) is one only with two digits for the month and the day of a date.
func yamlTimestamp(text string, strict bool) (Raw, bool) {
	date, rest := text, ""
	if at := strings.IndexAny(text, "Tt \t"); at >= 0 {
		date, rest = text[:at], text[at:]
	}
	day, ok := yamlDate(date, strict && rest == "")
	if !ok {
		return nil, false
	}
	if rest == "" {
		return typedRaw("date", fmt.Sprintf("%04d-%02d-%02d", day.year, day.month, day.day)), strict || day.valid()
	}
	if rest[0] == 'T' || rest[0] == 't' {
		rest = rest[1:]
	} else {
		rest = strings.TrimLeft(rest, " \t")
	}
	clock, ok := yamlClock(rest)
	if !ok {
		return nil, false
	}
	valid := day.valid() && clock.hour < 24 && clock.minute < 60 && clock.second < 60
	if !valid {
		return nil, strict // it looks like one, and is an error when it is read
	}
	return typedRaw("datetime", DateTime{clock.on(day), clock.zone == nil}.String()), true
}

func (d isoDate) valid() bool {
	return d.year > 0 && d.month >= 1 && d.month <= 12 && d.day >= 1 && d.day <= daysIn(d.year, d.month)
}

func yamlDate(text string, twoDigits bool) (isoDate, bool) {
	parts := strings.Split(text, "-")
	if len(parts) != 3 || len(parts[0]) != 4 || len(parts[1]) > 2 || len(parts[2]) > 2 || twoDigits && len(text) != 10 {
		return isoDate{}, false
	}
	var n [3]int
	for i, part := range parts {
		var ok bool
		if n[i], ok = digits(part); !ok {
			return isoDate{}, false
		}
	}
	return isoDate{n[0], n[1], n[2]}, true
}

// yamlClock reads H:MM:SS, a fraction and an offset.
func yamlClock(text string) (clock isoClock, ok bool) {
	end := 0
	for end < len(text) && (isDigit(text[end]) || text[end] == ':' || text[end] == '.') {
		end++
	}
	whole, fraction, _ := strings.Cut(text[:end], ".")
	parts := strings.Split(whole, ":")
	if len(parts) != 3 || len(parts[0]) > 2 || len(parts[1]) != 2 || len(parts[2]) != 2 || fraction != "" && !allDigits(fraction) {
		return clock, false
	}
	for i, field := range []*int{&clock.hour, &clock.minute, &clock.second} {
		if *field, ok = digits(parts[i]); !ok {
			return clock, false
		}
	}
	clock.micro, _ = digits((fraction + "000000")[:6])
	clock.zone, ok = yamlZone(strings.TrimLeft(text[end:], " \t"), text[end:])
	return clock, ok
}

// yamlZone reads Z, +H, +HH or +HH:MM; nothing is no zone.
func yamlZone(text, untrimmed string) (*time.Location, bool) {
	switch {
	case untrimmed == "":
		return nil, true
	case text == "Z":
		return time.UTC, true
	case text == "" || text[0] != '+' && text[0] != '-':
		return nil, false
	}
	hourText, minuteText, hasMinutes := strings.Cut(text[1:], ":")
	hours, ok := digits(hourText)
	if !ok || len(hourText) > 2 || hasMinutes && len(minuteText) != 2 {
		return nil, false
	}
	minutes, ok := 0, true
	if hasMinutes {
		minutes, ok = digits(minuteText)
	}
	offset := hours*3600 + minutes*60
	if !ok || offset >= 24*3600 {
		return nil, false
	}
	if text[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}

// appendYAMLFloat writes a float so that the resolver's pattern takes it: a point before the exponent, .nan and .inf.
func appendYAMLFloat(out []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, ".nan"...)
	case math.IsInf(f, 1):
		return append(out, ".inf"...)
	case math.IsInf(f, -1):
		return append(out, "-.inf"...)
	}
	text := string(AppendFloat(nil, f))
	if mantissa, exponent, ok := strings.Cut(text, "e"); ok && !strings.Contains(mantissa, ".") {
		text = mantissa + ".0e" + exponent
	}
	return append(out, text...)
}

func appendYAMLBinary(out, data []byte) []byte {
	out = append(out, `!!binary "`...)
	return append(base64.StdEncoding.AppendEncode(out, data), '"')
}
