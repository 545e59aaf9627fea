package protocol

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

func TestFloatsAreWrittenAsPythons(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	r := newRandomValues(9)
	floats := []float64{0, math.Copysign(0, -1), 1, 1e15, 1e16, 9999999999999998, 99999999999999990000, 1e-4, 1e-5, 0.00012345, 123456789012345680, 5e-324, math.MaxFloat64,
		1e22, 1e21, 1e23, 0.1, 1.0 / 3, 1e100, 2.5e-10, math.Pi, 1 << 53, 1<<53 + 2}
	for range 20_000 {
		if f := math.Float64frombits(r.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			floats = append(floats, f)
		}
		floats = append(floats, math.Round(r.Float64()*1e9)/1e4, math.Ldexp(float64(r.IntN(1000)), r.IntN(120)-60))
	}
	var questions []string
	for _, f := range floats {
		questions = append(questions, strconv.FormatFloat(f, 'x', -1, 64))
	}
	for i, want := range ask(p, "float_repr", questions) {
		if got := string(AppendFloat(nil, floats[i])); got != want.OK {
			t.Errorf("%s: Python %s, we %s", questions[i], want.OK, got)
		}
	}
}

// mutated makes texts that are nearly right.
func (r randomValues) mutated(text, letters string) string {
	out := []byte(text)
	for range r.IntN(3) {
		at := r.IntN(len(out) + 1)
		switch r.IntN(3) {
		case 0:
			out = append(out[:at], append([]byte{letters[r.IntN(len(letters))]}, out[at:]...)...)
		case 1:
			if at < len(out) {
				out[at] = letters[r.IntN(len(letters))]
			}
		default:
			if at < len(out) {
				out = append(out[:at], out[at+1:]...)
			}
		}
	}
	return string(out)
}

func TestTypedTextsAreReadAsPythonReadsThem(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	r := newRandomValues(10)
	clocks := []string{"07:08:09.000010+02:00", "07:08", "070809Z", "07", "0708.5", "07:08:09,123456789", "T07:08", "23:59:59-23:59", "07:08:09+020304", "24:00", "07:60", "7:08", "07:08:09.", "07:08Z+01:00", "07:08:09+0"}
	dates := []string{"2026-08-05", "20260805", "2026-W32-3", "2026W323", "2026-W32", "2026W32", "2020-02-29", "2021-02-29", "0001-01-01", "9999-12-31", "0000-01-01", "2026-W53-1", "2020-W53-7", "2026-217"}
	for name, seeds := range map[string][]string{
		"date": dates, "time": clocks, "datetime": {dates[0] + "T" + clocks[0], dates[1] + "T" + clocks[2], dates[2] + " " + clocks[1], dates[3] + "x" + clocks[3], dates[4] + "T" + clocks[1],
			dates[5] + "T" + clocks[4], dates[0] + "😀" + clocks[5], dates[0] + "T", "2026-08-05T07:08:09+00:00", "2026-08-05T07:08:09.000001-05:30"},
		"decimal": {"1.10", "-0.00", "1E+3", ".5", "5.", "1e-7", "0.000001", "123456789012345678901234567890.5", "NaN", "sNaN123", "-Infinity", "inf", "1_000", " 1 ", "0E-10", "12E5", "1e999999999"},
		"uuid":    {"12345678-1234-5678-9abc-def012345678", "12345678123456789abcdef012345678", "{12345678-1234-5678-9abc-def012345678}", "urn:uuid:12345678-1234-5678-9abc-def012345678"},
	} {
		letters := map[string]string{"date": "0123456789-W", "time": "0123456789:+-.,Z", "datetime": "0123456789-:+.WTZ ", "decimal": "0123456789.eE+-_nainf", "uuid": "0123456789abcdefABCDEF-{}"}[name]
		var texts []string
		for range 3000 {
			texts = append(texts, r.mutated(seeds[r.IntN(len(seeds))], letters))
		}
		texts = append(texts, seeds...)
		accepted := 0
		for i, want := range ask(p, name, texts) {
			content := Quote(texts[i])
			if name == "uuid" {
				content = Object{{"hex", content}}.Raw()
			}
			value, err := ParseValue(Object{{"__type__", Quote(name)}, {"__value__", content}}.Raw(), Limits{})
			got := string(appendRepr(nil, value))
			switch v := value.(type) {
			case Decimal:
				got = string(v)
			default:
				if name == "uuid" && err == nil {
					got = strings.ReplaceAll(strings.Trim(got, "UID(')"), "-", "")
				}
			}
			if strings.Contains(want.OK, "microseconds=") {
				continue // an offset finer than seconds, which Go does not have
			}
			if (want.Error != "") != (err != nil) || err == nil && got != want.OK {
				t.Errorf("%s %q: Python %s %s, we %s %v", name, texts[i], want.OK, want.Error, got, err)
			}
			if err == nil {
				accepted++
			}
		}
		t.Logf("%s: %d of %d texts were right", name, accepted, len(texts))
		if accepted < len(texts)/10 {
			t.Errorf("%s: only %d of %d texts were right: little is shown by that", name, accepted, len(texts))
		}
	}
}
