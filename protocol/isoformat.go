package protocol

import (
	"fmt"
	"strings"
	"time"
)

// ISO 8601 as Python 3.11's fromisoformat reads it and isoformat writes it (CPython's Lib/_pydatetime.py). Earlier Pythons read only what
// isoformat writes. Two deviations: an offset is whole seconds, for Go has no finer, and a 24:00 is refused, as before Python 3.14.

func isoError(text string) error {
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return fmt.Errorf("%w: %q is not in ISO 8601", ErrType, text)
}

// parseISODateTime reads a datetime; without a time it is midnight.
func parseISODateTime(text string) (t time.Time, naive bool, err error) {
	if len(text) < 7 {
		return t, false, isoError(text)
	}
	split := min(isoSeparator(text), len(text))
	date, ok := parseISODate(text[:split])
	if !ok {
		return t, false, isoError(text)
	}
	clock := isoClock{}
	if rest := text[split:]; rest != "" {
		_, size := decodeRune(rest) // any character may stand between the two
		if clock, ok = parseISOTime(rest[size:]); !ok {
			return t, false, isoError(text)
		}
	}
	return clock.on(date), clock.zone == nil, nil
}

// isoDate is a day.
type isoDate struct{ year, month, day int }

// isoClock is a time of day; zone is nil when it has none.
type isoClock struct {
	hour, minute, second, micro int
	zone                        *time.Location
}

func (c isoClock) on(d isoDate) time.Time {
	zone := c.zone
	if zone == nil {
		zone = time.UTC
	}
	return time.Date(d.year, time.Month(d.month), d.day, c.hour, c.minute, c.second, c.micro*1000, zone)
}

// isoSeparator finds where the date ends, as CPython's _find_isoformat_datetime_separator does. text has 7 bytes at least.
func isoSeparator(text string) int {
	if len(text) == 7 {
		return 7
	}
	if text[4] == '-' {
		if text[5] != 'W' {
			return 10
		}
		if len(text) > 8 && text[8] == '-' && (len(text) <= 10 || !isDigit(text[10])) {
			return 10
		}
		return 8
	}
	if text[4] != 'W' {
		return 8
	}
	end := 7
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	switch {
	case end < 9:
		return end
	case end%2 == 0:
		return 7
	default:
		return 8
	}
}

func parseISODate(text string) (isoDate, bool) {
	if len(text) != 7 && len(text) != 8 && len(text) != 10 {
		return isoDate{}, false
	}
	separated := text[4] == '-'
	at := 4
	if separated {
		at++
	}
	year, ok := digits(text[:4])
	if !ok || year == 0 {
		return isoDate{}, false
	}
	if text[at] == 'W' {
		return parseISOWeek(text, at+1, year, separated)
	}
	month, ok := twoDigits(text, at)
	if !ok {
		return isoDate{}, false
	}
	at += 2
	if separated != (slice(text, at, at+1) == "-") {
		return isoDate{}, false
	}
	if separated {
		at++
	}
	day, ok := digits(slice(text, at, len(text)))
	if !ok || len(text)-at != 2 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return isoDate{}, false
	}
	return isoDate{year, month, day}, true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// parseISOWeek reads the week, and the day when there is one, of YYYY-Www-D or YYYYWwwD.
func parseISOWeek(text string, at, year int, separated bool) (isoDate, bool) {
	week, ok := twoDigits(text, at)
	if !ok {
		return isoDate{}, false
	}
	day := 1
	if at += 2; at < len(text) {
		if separated != (text[at] == '-') {
			return isoDate{}, false
		}
		if separated {
			at++
		}
		if day, ok = digits(slice(text, at, len(text))); !ok || len(text)-at != 1 {
			return isoDate{}, false
		}
	}
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in week 1
	monday := fourth.AddDate(0, 0, -(int(fourth.Weekday())+6)%7)
	date := monday.AddDate(0, 0, (week-1)*7+day-1)
	if isoYear, isoWeek := date.ISOWeek(); day < 1 || day > 7 || isoYear != year || isoWeek != week || date.Year() > 9999 || date.Year() < 1 {
		return isoDate{}, false
	}
	return isoDate{date.Year(), int(date.Month()), date.Day()}, true
}

// parseISOTime reads a time with or without an offset. Like CPython it overlooks a digit too many in front of an offset.
func parseISOTime(text string) (isoClock, bool) {
	zoneAt := strings.IndexAny(text, "+-Z")
	end := zoneAt
	if zoneAt < 0 {
		end = len(text)
	}
	parts, rest, ok := parseISOClock(text, 0, end)
	if !ok || rest && zoneAt < 0 || parts[0] > 23 || parts[1] > 59 || parts[2] > 59 {
		return isoClock{}, false
	}
	t := isoClock{hour: parts[0], minute: parts[1], second: parts[2], micro: parts[3]}
	if zoneAt < 0 {
		return t, true
	}
	t.zone = time.UTC
	if text[zoneAt] == 'Z' {
		return t, zoneAt+1 == len(text)
	}
	parts, rest, ok = parseISOClock(text, zoneAt+1, len(text))
	seconds := parts[0]*3600 + parts[1]*60 + parts[2]
	if !ok || rest || parts[3] != 0 || seconds >= 24*3600 {
		return isoClock{}, false
	}
	if text[zoneAt] == '-' {
		seconds = -seconds
	}
	if seconds != 0 {
		t.zone = time.FixedZone("", seconds)
	}
	return t, true
}

// parseISOClock reads HH, HH:MM, HH:MM:SS or the same without colons from text[at:end], and a fraction of any length behind any of them, of which six
// digits count; rest tells that something is left. It is parse_hh_mm_ss_ff of CPython's _datetimemodule.c.
func parseISOClock(text string, at, end int) (parts [4]int, rest, ok bool) {
	separated := true
	for i := range 3 {
		if parts[i], ok = twoDigits(text, at); !ok {
			return parts, false, false
		}
		at += 2
		c := byteAt(text, at)
		if i == 0 {
			separated = c == ':'
		}
		at++
		if at >= end {
			return parts, c != 0, true
		}
		if separated && c == ':' {
			continue
		}
		if c == '.' || c == ',' {
			break
		}
		if separated {
			return parts, false, false
		}
		at--
	}
	fraction := slice(text, at, min(at+6, end))
	if parts[3], ok = digits(fraction); !ok {
		return parts, false, false
	}
	parts[3], _ = digits((fraction + "00000")[:6])
	for at += len(fraction); isDigit(byteAt(text, at)); at++ {
		continue
	}
	return parts, at < len(text), true
}

func byteAt(text string, i int) byte {
	if i < len(text) {
		return text[i]
	}
	return 0
}

func twoDigits(text string, at int) (int, bool) {
	n, ok := digits(slice(text, at, at+2))
	return n, ok && len(text) >= at+2
}

func slice(text string, from, to int) string { return text[min(from, len(text)):min(to, len(text))] }

func digits(text string) (n int, ok bool) {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, text != ""
}

func allDigits(text string) bool {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return false
		}
	}
	return true
}

// appendISODateTime is datetime.isoformat().
func appendISODateTime(out []byte, t time.Time, naive bool) []byte {
	return appendISOTime(t.AppendFormat(out, "2006-01-02T"), t, naive)
}

// appendISOTime is time.isoformat().
func appendISOTime(out []byte, t time.Time, naive bool) []byte {
	layout := "15:04:05"
	if t.Nanosecond() >= 1000 {
		layout = "15:04:05.000000"
	}
	out = t.AppendFormat(out, layout)
	if naive {
		return out
	}
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	out = append(out, sign)
	out = fmt.Appendf(out, "%02d:%02d", offset/3600, offset/60%60)
	if offset%60 != 0 {
		out = fmt.Appendf(out, ":%02d", offset%60)
	}
	return out
}
