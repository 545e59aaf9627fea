package tasks_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

func dimensions(t *testing.T, kwargs, headers map[string]any, rules tasks.DimensionRules) (tasks.Dimensions, string) {
	t.Helper()
	object := func(m map[string]any) protocol.Object {
		if m == nil {
			return nil
		}
		raw, err := protocol.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		members, err := raw.Members()
		if err != nil {
			t.Fatal(err)
		}
		return members
	}
	d, err := tasks.ParseDimensions(object(kwargs), object(headers), rules)
	var refused *tasks.DimensionError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("an error without a code: %v", err)
	}
	if refused != nil {
		if x := tasks.ExceptionOf(err); x.Type != "DimensionError" || x.Module != "lovage.errors" {
			t.Errorf("Python sees %s.%s", x.Module, x.Type)
		}
		return d, refused.Code
	}
	return d, ""
}

func TestBadDimensionsAreRefusedWithACodeThatNamesThem(t *testing.T) {
	rules := tasks.DimensionRules{Modes: []string{"public", "broker"}}
	zone := func(from, to string) any { return map[string]any{"from": from, "to": to, "zone": "Europe/Berlin"} }
	for _, c := range []struct {
		name  string
		value any
		code  string
	}{
		{"access_mode", "public", ""},
		{"access_mode", "secret", "access_mode_unknown"},
		{"access_mode", 5, "access_mode_invalid"},
		{"data_type", "guessed", "data_type_unknown"},
		{"data_type", "predicted", "prediction_run_id_missing"},
		{"time_range", "2026-03-01T00:00:00Z/2026-03-02T00:00:00+01:00", ""},
		{"time_range", "2026-03-02T00:00:00Z/2026-03-01T00:00:00Z", "time_range_reversed"},
		{"time_range", "2026-03-01T00:00:00Z/2026-03-01T01:00:00+01:00", "time_range_reversed"}, // the same instant
		{"time_range", "2026-03-01T00:00:00/2026-03-02T00:00:00", "time_range_naive"},
		{"time_range", "2026-03-01", "time_range_invalid"},
		{"time_range", []any{"2026-03-01T00:00:00Z", "2026-13-01T00:00:00Z"}, "time_range_invalid"},
		{"time_range", zone("2026-03-28T12:00:00", "2026-03-29T12:00:00"), ""},
		{"time_range", zone("2026-03-29T02:30:00", "2026-03-30T00:00:00"), "time_range_nonexistent"},
		{"time_range", zone("2026-10-25T02:30:00", "2026-10-26T00:00:00"), "time_range_ambiguous"},
		{"time_range", map[string]any{"from": "2026-03-28T12:00:00", "to": "2026-03-29T12:00:00", "zone": "Nowhere/City"}, "time_range_invalid"},
	} {
		if _, code := dimensions(t, map[string]any{c.name: c.value}, nil, rules); code != c.code {
			t.Errorf("%s %v: code %q, want %q", c.name, c.value, code, c.code)
		}
	}
	for _, name := range tasks.AllDimensions() {
		if _, code := dimensions(t, nil, nil, tasks.DimensionRules{Needs: []tasks.Dimension{name}}); code != string(name)+"_missing" {
			t.Errorf("without %s: code %q", name, code)
		}
		for _, bad := range []string{"'; DROP TABLE claims; --", "x' OR '1'='1", strings.Repeat("a", 1<<20), "", " a", "a\nb", "a\x00b", "ä", "../../x", "{a}"} {
			if _, code := dimensions(t, map[string]any{string(name): bad}, nil, rules); code != string(name)+"_invalid" {
				t.Errorf("%s %.30q: code %q", name, bad, code)
			}
		}
	}
}

func TestDimensionsComeFromArgumentsAndHeaders(t *testing.T) {
	d, code := dimensions(t, map[string]any{"access_mode": "public"}, map[string]any{"access_mode": "public", "trace_id": "t-1"}, tasks.DimensionRules{})
	if code != "" || d.AccessMode != "public" || d.TraceID != "t-1" {
		t.Errorf("%+v %s", d, code)
	}
	if _, code := dimensions(t, map[string]any{"access_mode": "public"}, map[string]any{"access_mode": "broker"}, tasks.DimensionRules{}); code != "access_mode_conflict" {
		t.Errorf("code %q", code)
	}
	if _, code := dimensions(t, map[string]any{"data_type": "observed", "prediction_run_id": "r"}, nil, tasks.DimensionRules{}); code != "prediction_run_id_conflict" {
		t.Errorf("code %q", code)
	}
}
