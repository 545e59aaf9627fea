package tasks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// Dimension is the name of something that a task's work is about; messages carry it as a keyword argument or a header of that name.
type Dimension string

// The dimensions.
const (
	TraceID         Dimension = "trace_id"
	CorrelationID   Dimension = "correlation_id"
	AccessMode      Dimension = "access_mode"
	RegionScope     Dimension = "region_scope"
	RegionCode      Dimension = "region_code"
	TimeRangeDim    Dimension = "time_range"
	DataType        Dimension = "data_type"
	WeatherType     Dimension = "weather_type"
	ProductID       Dimension = "product_id"
	PredictionRunID Dimension = "prediction_run_id"
)

// AllDimensions lists them.
func AllDimensions() []Dimension {
	return []Dimension{TraceID, CorrelationID, AccessMode, RegionScope, RegionCode, TimeRangeDim, DataType, WeatherType, ProductID, PredictionRunID}
}

// Predicted is the data_type that belongs to a prediction run.
const Predicted = "predicted"

// Dimensions are what a task's work is about. "" and a zero TimeRange are absent.
type Dimensions struct {
	TraceID, CorrelationID  string
	AccessMode              string
	RegionScope, RegionCode string
	TimeRange               TimeRange
	// DataType is "historical", "observed" or Predicted.
	DataType, WeatherType, ProductID string
	PredictionRunID                  string
}

// TimeRange is from From, included, to To, excluded; both in UTC.
type TimeRange struct{ From, To time.Time }

// String is the form that messages carry: two RFC 3339 times with a slash between.
func (r TimeRange) String() string {
	if r == (TimeRange{}) {
		return ""
	}
	return r.From.Format(time.RFC3339Nano) + "/" + r.To.Format(time.RFC3339Nano)
}

// DimensionError refuses a message. Python sees lovage.errors.DimensionError(code, detail).
type DimensionError struct {
	Dimension Dimension
	// Code is stable: the dimension's name and _missing, _invalid, _unknown (no such mode), _conflict (argument and header differ), and for time_range _naive, _reversed,
	// _ambiguous and _nonexistent (local times in the hour of a change of the clock).
	Code, Detail string
}

// Error names the code.
func (e *DimensionError) Error() string { return e.Code + ": " + e.Detail }

// Unwrap gives the exception that Python sees.
func (e *DimensionError) Unwrap() error {
	return &Error{Type: "DimensionError", Module: "lovage.errors", Args: []any{e.Code, e.Detail}}
}

func refuse(d Dimension, problem, detail string, args ...any) error {
	return &DimensionError{Dimension: d, Code: string(d) + "_" + problem, Detail: fmt.Sprintf(detail, args...)}
}

// DimensionRules say which messages are taken.
type DimensionRules struct {
	// Needs are the dimensions that must be there.
	Needs []Dimension
	// Modes are the access modes that exist; empty: any well-formed name.
	Modes []string
}

// The forms are narrow, so that a value is safe in a key, a log line and a query: nothing in it needs quoting.
var (
	nameForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	codeForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	traceForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)
)

// ParseDimensions finds the dimensions in a message's keyword arguments and headers and checks them: the first that is missing or malformed is the error, a *DimensionError.
func ParseDimensions(kwargs, headers protocol.Object, rules DimensionRules) (Dimensions, error) {
	var d Dimensions
	for _, name := range AllDimensions() {
		raw, err := pick(name, kwargs, headers)
		if err != nil {
			return d, err
		}
		if raw.IsNull() {
			if slices.Contains(rules.Needs, name) {
				return d, refuse(name, "missing", "the message has no %s", name)
			}
			continue
		}
		if name == TimeRangeDim {
			if d.TimeRange, err = parseTimeRange(raw); err != nil {
				return d, err
			}
			continue
		}
		text, ok := raw.Text()
		if !ok {
			return d, refuse(name, "invalid", "it is not text")
		}
		if err := d.set(name, text, rules); err != nil {
			return d, err
		}
	}
	switch {
	case d.DataType == Predicted && d.PredictionRunID == "":
		return d, refuse(PredictionRunID, "missing", "predicted data belongs to a prediction run")
	case d.DataType != "" && d.DataType != Predicted && d.PredictionRunID != "":
		return d, refuse(PredictionRunID, "conflict", "%s data belongs to no prediction run", d.DataType)
	}
	return d, nil
}

// pick takes the argument or the header; both must say the same.
func pick(name Dimension, kwargs, headers protocol.Object) (protocol.Raw, error) {
	argument, _ := kwargs.Get(string(name))
	header, _ := headers.Get(string(name))
	switch {
	case argument.IsNull():
		return header, nil
	case header.IsNull() || name == CorrelationID: // Celery itself has a correlation_id
		return argument, nil
	case string(argument) != string(header):
		return nil, refuse(name, "conflict", "the argument and the header differ")
	}
	return argument, nil
}

func (d *Dimensions) set(name Dimension, text string, rules DimensionRules) error {
	field, form := d.field(name)
	if !form.MatchString(text) {
		return refuse(name, "invalid", "%.40q is not of the form %s", text, form)
	}
	if name == AccessMode && len(rules.Modes) > 0 && !slices.Contains(rules.Modes, text) {
		return refuse(name, "unknown", "%q is none of %s", text, strings.Join(rules.Modes, ", "))
	}
	if name == DataType && !slices.Contains([]string{"historical", "observed", Predicted}, text) {
		return refuse(name, "unknown", "%q is none of historical, observed, predicted", text)
	}
	*field = text
	return nil
}

func (d *Dimensions) field(name Dimension) (*string, *regexp.Regexp) {
	switch name {
	case TraceID:
		return &d.TraceID, traceForm
	case CorrelationID:
		return &d.CorrelationID, traceForm
	case AccessMode:
		return &d.AccessMode, nameForm
	case RegionScope:
		return &d.RegionScope, nameForm
	case RegionCode:
		return &d.RegionCode, codeForm
	case DataType:
		return &d.DataType, nameForm
	case WeatherType:
		return &d.WeatherType, nameForm
	case ProductID:
		return &d.ProductID, codeForm
	}
	return &d.PredictionRunID, codeForm
}

// Map writes the dimensions that are there, as messages carry them.
func (d Dimensions) Map() map[string]string {
	m := map[string]string{}
	for _, name := range AllDimensions() {
		text := d.TimeRange.String()
		if name != TimeRangeDim {
			field, _ := d.field(name)
			text = *field
		}
		if text != "" {
			m[string(name)] = text
		}
	}
	return m
}

// parseTimeRange reads "from/to", [from, to] or {"from": ..., "to": ..., "zone": ...}. Times need an offset; only with a zone they are local times there, and then neither in the hour that a
// change of the clock skips nor in the one that it repeats.
func parseTimeRange(raw protocol.Raw) (TimeRange, error) {
	var from, to, zone string
	if text, ok := raw.Text(); ok {
		from, to, _ = strings.Cut(text, "/")
	} else if list, err := raw.Elements(); err == nil && len(list) == 2 {
		from, _ = list[0].Text()
		to, _ = list[1].Text()
	} else if members, err := raw.Members(); err == nil {
		from, to, zone = members.Text("from"), members.Text("to"), members.Text("zone")
	}
	if from == "" || to == "" || len(from)+len(to) > 100 {
		return TimeRange{}, refuse(TimeRangeDim, "invalid", "it is neither \"from/to\" nor [from, to] nor {from, to}")
	}
	var r TimeRange
	var err error
	if r.From, err = instant(from, zone); err == nil {
		r.To, err = instant(to, zone)
	}
	if err == nil && !r.From.Before(r.To) {
		err = refuse(TimeRangeDim, "reversed", "%s is not before %s", from, to)
	}
	return r, err
}

func instant(text, zone string) (time.Time, error) {
	if zone == "" {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err == nil {
			return t.UTC(), nil
		}
		for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"} {
			if _, err := time.Parse(layout, text); err == nil {
				return time.Time{}, refuse(TimeRangeDim, "naive", "%s has no offset", text)
			}
		}
		return time.Time{}, refuse(TimeRangeDim, "invalid", "%.40q is no time", text)
	}
	place, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return time.Time{}, refuse(TimeRangeDim, "invalid", "%.40q is no time zone", zone)
	}
	const layout = "2006-01-02T15:04:05"
	t, err := time.ParseInLocation(layout, text, place)
	if err != nil {
		return time.Time{}, refuse(TimeRangeDim, "invalid", "%.40q is no local time", text)
	}
	if t.Format(layout) != text {
		return time.Time{}, refuse(TimeRangeDim, "nonexistent", "%s is skipped in %s", text, zone)
	}
	for _, shift := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		_, here := t.Zone()
		_, there := t.Add(shift).Zone()
		if other := t.Add(time.Duration(here-there) * time.Second); here != there && other.Format(layout) == text {
			return time.Time{}, refuse(TimeRangeDim, "ambiguous", "%s happens twice in %s", text, zone)
		}
	}
	return t.UTC(), nil
}
