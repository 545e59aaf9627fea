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

// ParseTime reads ISO 8601 as dateutil's isoparse, which Celery uses, and Python's datetime.fromisoformat do.
func ParseTime(text string) (Time, error) {
	t, naive, err := parseISODateTime(text)
	if err == nil {
		return Time{Time: t, Naive: naive}, nil
	}
	for _, layout := range []string{"2006", "2006-01", "200601"} { // isoparse's alone
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 0 { // Python has no year 0
			return Time{Time: t, Naive: true}, nil
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
