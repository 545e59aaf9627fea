package protocol

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// TestTimesAreReadAsCeleryReadsThem holds ParseTime against isoparse, on good and damaged texts.
func TestTimesAreReadAsCeleryReadsThem(t *testing.T) {
	random := newRandomValues(21)
	texts := []string{"2030", "2030-01", "20300102", "2030-W01", "2030W011", "2030-01-02T03", "2030-01-02T0304", "2030-01-02T24:00", "2030-01-02 03:04:05,5Z"}
	for range 3000 {
		at := time.Unix(random.Int64N(4e9), random.Int64N(1e9)).UTC()
		layouts := []string{"2006-01-02T15:04:05.000000-07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "20060102T150405", "2006-01-02 15:04"}
		text := at.Format(layouts[random.IntN(len(layouts))])
		if random.IntN(2) == 0 {
			text = random.mutated(text, "0123456789:-+TZ. ")
		}
		texts = append(texts, text)
	}
	ours, theirs := 0, 0
	for i, answer := range ask(startPython(t, testenv.Celery57), "instant", texts) {
		at, err := ParseTime(texts[i])
		switch {
		case err != nil && answer.Error != "":
		case err != nil:
			theirs++
			t.Logf("%q: %v, Celery %s", texts[i], err, answer.OK)
		case answer.Error != "":
			ours++ // what CPython's fromisoformat reads and isoparse does not
		default:
			layout := "2006-01-02T15:04:05.000000-07:00"
			if at.Naive {
				layout = "2006-01-02T15:04:05.000000"
			}
			if got := at.Format(layout); got != answer.OK {
				t.Errorf("%q: %s, Celery %s", texts[i], got, answer.OK)
			}
		}
	}
	t.Logf("of %d texts %d are read here alone and %d by Celery alone", len(texts), ours, theirs)
}

func TestBase64IsReadAsPythonReadsIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "=", "A", "AA", "AA=", "AA==", "A=A=A=A=", "=AAAA", "AAAA=AAAA", "AA==AAAA", "A A\nA*A", "AAAAAA=A=", "AAA=AAA="}
	for range 2000 {
		text := make([]byte, random.IntN(14))
		for i := range text {
			text[i] = "AZaz09+/==-_ \n"[random.IntN(14)]
		}
		texts = append(texts, string(text))
	}
	for i, answer := range ask(startPython(t, testenv.Celery57), "b64decode", texts) {
		got, err := decodeBase64([]byte(texts[i]))
		if (err != nil) != (answer.Error != "") || base64.StdEncoding.EncodeToString(got) != answer.OK {
			t.Errorf("%q: %x %v, Python %s%s", texts[i], got, err, answer.OK, answer.Error)
		}
	}
}

func TestHostnamesMatchAsKombuMatches(t *testing.T) {
	type glob struct {
		Name    string `json:"name"`
		Pattern string `json:"pattern"`
	}
	random := rand.New(rand.NewPCG(3, 4))
	cases := []glob{{"w@h", "w*"}, {"w@h", "[!x]@h"}, {"]", "[]]"}, {"-", "[a-]"}, {"a", "[^a]"}, {"^", "[^a]"}, {"[", "["}, {`\`, `[\]`}, {"x", "[!]"}}
	for range 2000 {
		text := func(letters string, n int) string {
			out := make([]byte, random.IntN(n))
			for i := range out {
				out[i] = letters[random.IntN(len(letters))]
			}
			return string(out)
		}
		cases = append(cases, glob{text("ab@.]-^!", 5), text("ab@.]-^!***???[[[", 8)})
	}
	for i, answer := range ask(startPython(t, testenv.Celery57), "glob", cases) {
		if cases[i].Pattern == "" {
			continue // no pattern: everyone
		}
		got, err := ControlRequest{Pattern: cases[i].Pattern, Matcher: "glob"}.For(cases[i].Name)
		want := answer.OK == "True"
		if got != want || err != nil {
			t.Errorf("%q ~ %q: %t %v, kombu %t", cases[i].Name, cases[i].Pattern, got, err, want)
		}
	}
}
