package protocol

import "time"

// The values of Python that Go has no type for. ParseValue returns them, Marshal takes them.

// DateTime is Python's datetime. A naive one has no time zone: the clock it shows is kept in UTC, and what zone it means is for the reader to know.
type DateTime struct {
	time.Time
	Naive bool
}

// String is Python's isoformat().
func (d DateTime) String() string { return string(appendISODateTime(nil, d.Time, d.Naive)) }

// Date is Python's date, in the form of its isoformat(): 2026-08-05.
type Date string

// Time is midnight UTC of the day; the zero time when the text is no date.
func (d Date) Time() time.Time {
	t, _ := time.Parse(time.DateOnly, string(d))
	return t
}

// TimeOfDay is Python's datetime.time, in the form of its isoformat(): 07:08:09.000010, or with an offset 07:08:09+02:00.
type TimeOfDay string

// Map is a dict with its values decoded, in order.
type Map struct{ Members []MapMember }

// MapMember is one name and value of a Map.
type MapMember struct {
	Name  string
	Value any
}

// Get finds a value by name.
func (m *Map) Get(name string) (any, bool) {
	for i := range m.Members {
		if m.Members[i].Name == name {
			return m.Members[i].Value, true
		}
	}
	return nil, false
}
