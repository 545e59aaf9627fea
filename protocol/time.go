package protocol

import (
	"fmt"
	"time"
)

// Time is a point in time as Celery's headers carry it. Naive means that the text had no offset: a producer with enable_utc off wrote
// local time; Celery's worker then takes it for its own time zone (app.timezone, UTC by default), and so it was read here.
type Time struct {
	time.Time
	Naive bool
}

var timeLayouts = []struct {
	layout string
	naive  bool
}{
	{"2006-01-02T15:04:05.999999999Z07:00", false},
	{"2006-01-02T15:04:05.999999999-0700", false},
	{"2006-01-02T15:04:05.999999999", true},
	{"2006-01-02 15:04:05.999999999Z07:00", false},
	{"2006-01-02 15:04:05.999999999", true},
	{"2006-01-02T15:04Z07:00", false},
	{"2006-01-02T15:04", true},
	{"2006-01-02", true},
	{"20060102T150405Z07:00", false},
	{"20060102T150405", true},
	{"20060102", true},
}

// ParseTime reads ISO 8601 as Python's datetime.fromisoformat and Celery's own parser do.
func ParseTime(text string) (Time, error) {
	for _, l := range timeLayouts {
		if t, err := time.Parse(l.layout, text); err == nil {
			return Time{Time: t, Naive: l.naive}, nil
		}
	}
	return Time{}, fmt.Errorf("%w: %q is not a time in ISO 8601", ErrHeader, text)
}

// FormatTime writes a time as Python's datetime.isoformat() does for an aware time in UTC: 2026-01-02T03:04:05.000006+00:00, the fraction left
// out when it is zero.
func FormatTime(t time.Time) string { return string(appendTime(nil, t)) }

func appendTime(out []byte, t time.Time) []byte {
	t = t.UTC()
	layout := "2006-01-02T15:04:05.000000+00:00"
	if t.Nanosecond()/1000 == 0 {
		layout = "2006-01-02T15:04:05+00:00"
	}
	return t.AppendFormat(out, layout)
}
