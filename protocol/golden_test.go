package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

// golden is one record of the files that testdata/capture.py writes.
type golden struct {
	Name, Version, Kind, Raw string
	Expected                 meaning
	file                     string
}

func goldenVersions() []string { return []string{testenv.Celery57, testenv.Celery52, testenv.Celery44} }

// readGolden reads all records of a version.
func readGolden(t testing.TB, version string) []golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", version, "*.jsonl"))
	if err != nil || len(files) < 5 {
		t.Fatalf("golden files of %s: %v, %v: run make golden", version, files, err)
	}
	var records []golden
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			record := golden{file: strings.TrimSuffix(filepath.Base(name), ".jsonl")}
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			records = append(records, record)
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return records
}

// rewritten is one text of ours for Python to read.
type rewritten struct {
	Kind string `json:"kind"`
	Raw  string `json:"raw"`
}

// verdict is Python's reading of it.
type verdict struct {
	OK    meaning
	Error string
}

// verify lets the real Celery of a version read what we have written.
func verify(t testing.TB, version string, cases []rewritten) []verdict {
	t.Helper()
	request, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	var verdicts []verdict
	out := testenv.Python(t, version).Run(".", nil, string(request)+"\n", "testdata/verify.py")
	if err := json.Unmarshal([]byte(out), &verdicts); err != nil {
		t.Fatalf("read Python's verdicts: %v", err)
	}
	if len(verdicts) != len(cases) {
		t.Fatalf("%d verdicts on %d cases", len(verdicts), len(cases))
	}
	return verdicts
}

// knownDifferences are where we read otherwise than Celery, and why we leave it so.
func knownDifferences() map[string]string {
	return map[string]string{
		"value/msgpack/typed-lookalike": "msgpack is translated to kombu's JSON: a dict that looks like a typed value becomes one",
		"value/yaml/typed-lookalike":    "as with msgpack",
		"value/yaml/int-keys":           "a Raw is JSON text, whose keys are strings",
		"value/yaml/set":                "JSON has no set: it is read as a list",
		"value/yaml/surrogate":          "no YAML library of Go reads lone surrogates: refused, the message goes to the dead letters",
	}
}

// knownBefore53 are those of Celery before 5.3 with kombu before 5.3.
func knownBefore53() map[string]string {
	return map[string]string{
		"value/json/typed-lookalike":     "that kombu knew no typed values",
		"worker/value/typed-lookalike#1": "that kombu knew no typed values",
		"worker/error/own-message#1":     "that Celery gives Exception(text) when the class does not take the arguments; 5.7 makes the class without them",
		"worker/error/decode#1":          "as above",
	}
}

// known tells whether a record is one of them.
func known(version, name string) bool {
	_, found := knownDifferences()[name]
	if !found && version != testenv.Celery57 {
		_, found = knownBefore53()[name]
	}
	return found
}

// TestResultsAreWrittenByteForByteAsCelery57Writes: whoever compares or hashes documents sees no difference.
func TestResultsAreWrittenByteForByteAsCelery57Writes(t *testing.T) {
	for _, record := range readGolden(t, testenv.Celery57) {
		if record.Kind != "result" {
			continue
		}
		result, err := DecodeResult([]byte(record.Raw))
		if err != nil {
			t.Errorf("%s: %v", record.Name, err)
		} else if got := string(result.AppendJSON(nil)); got != record.Raw {
			t.Errorf("%s:\n got %s\nwant %s", record.Name, got, record.Raw)
		}
	}
}

// TestEnvelopesAreWrittenByteForByteAsKombuWrites: of what was decoded nothing is lost, reordered or respelled.
func TestEnvelopesAreWrittenByteForByteAsKombuWrites(t *testing.T) {
	for _, version := range goldenVersions() {
		for _, record := range readGolden(t, version) {
			if record.Kind != "task" || strings.HasSuffix(record.Name, "header/priority--1") || strings.HasSuffix(record.Name, "header/priority-10") {
				continue // a priority out of bounds is written clamped
			}
			if got, err := rewriteMessage([]byte(record.Raw)); err != nil || string(got) != record.Raw {
				t.Errorf("%s %s: %v\n got %s\nwant %s", version, record.Name, err, got, record.Raw)
			}
		}
	}
}

func TestWeReadWhatCeleryReads(t *testing.T) {
	for _, version := range goldenVersions() {
		t.Run(version, func(t *testing.T) {
			counts := map[string]int{}
			for _, record := range readGolden(t, version) {
				counts[record.file]++
				got, err := readAs(record.Kind, record.Raw)
				if refusal, refused := record.Expected["error"]; refused {
					if err == nil {
						t.Errorf("%s: Python refuses it (%s), we read %v", record.Name, refusal, got)
					}
					continue
				}
				if known(version, record.Name) {
					if err == nil && differences(got, record.Expected) == "" {
						t.Errorf("%s: we read it as Celery does: strike it from the known differences", record.Name)
					}
				} else if err != nil {
					t.Errorf("%s: %v\n%.2000s", record.Name, err, record.Raw)
				} else if diff := differences(got, record.Expected); diff != "" {
					t.Errorf("%s: %s\n%.2000s", record.Name, diff, record.Raw)
				}
			}
			t.Logf("Celery %s: records by file: %v", version, counts)
		})
	}
}

func TestCeleryReadsWhatWeWriteAgain(t *testing.T) {
	for _, version := range goldenVersions() {
		t.Run(version, func(t *testing.T) {
			var records []golden
			var cases []rewritten
			for _, record := range readGolden(t, version) {
				if _, refused := record.Expected["error"]; refused {
					continue
				}
				raw, err := rewrite(record)
				if err != nil {
					t.Errorf("%s: %v\n%.2000s", record.Name, err, record.Raw)
					continue
				}
				records, cases = append(records, record), append(cases, rewritten{record.Kind, encoded(raw)})
			}
			for i, verdict := range verify(t, version, cases) {
				if diff := differences(verdict.OK, records[i].Expected); verdict.Error != "" || diff != "" {
					t.Errorf("%s: %s %s\n%.2000s", records[i].Name, verdict.Error, diff, records[i].Raw)
				}
			}
		})
	}
}

func TestCeleryReadsTheTasksThatWeBuild(t *testing.T) {
	for _, version := range goldenVersions() {
		t.Run(version, func(t *testing.T) {
			var records []golden
			var cases []rewritten
			for _, record := range readGolden(t, version) {
				if record.Kind != "task" || record.Expected["error"] != nil || record.Expected["refused"] != nil || known(version, record.Name) {
					continue
				}
				raw, err := rebuild([]byte(record.Raw))
				if err != nil {
					t.Errorf("%s: %v\n%.2000s", record.Name, err, record.Raw)
					continue
				}
				records, cases = append(records, record), append(cases, rewritten{record.Kind, encoded(raw)})
			}
			for i, verdict := range verify(t, version, cases) {
				expected := records[i].Expected
				// Our own: the reprs, the origin, and the order of headers; correlation_id is always the id, and what is sent anew is not redelivered.
				for _, ours := range []string{"headers", "correlation_id", "redelivered"} {
					delete(verdict.OK, ours)
					delete(expected, ours)
				}
				if diff := differences(verdict.OK, expected); verdict.Error != "" || diff != "" {
					t.Errorf("%s: %s %s\n%.2000s", records[i].Name, verdict.Error, diff, records[i].Raw)
				}
			}
		})
	}
}

// TestArgumentsAreShownAsCeleryShowsThem: argsrepr and kwargsrepr of what we send read like Celery's.
func TestArgumentsAreShownAsCeleryShowsThem(t *testing.T) {
	// What the wire does not keep (tuples, the order of YAML's keys, what looks like a typed value), and what the caller wrote.
	lost := []string{"tuple", "int-keys", "list-args", "canvas/chunks", "canvas/map", "yaml/dict", "lookalike", "header/argsrepr"}
	seen := 0
	for _, record := range readGolden(t, testenv.Celery57) {
		version2 := record.Kind == "task" && record.Expected["version"] == 2.0 && record.Expected["args"] != nil
		if !version2 || known(record.Version, record.Name) || slices.ContainsFunc(lost, func(s string) bool { return strings.Contains(record.Name, s) }) {
			continue
		}
		task, err := ParseTask([]byte(record.Raw), Limits{})
		if err != nil {
			t.Fatalf("%s: %v", record.Name, err)
		}
		seen++
		if got, want := ReprArgs(task.Args, reprLimit), task.Headers().Text("argsrepr"); got != want {
			t.Errorf("%s: argsrepr\n got %s\nwant %s", record.Name, got, want)
		}
		if got, want := ReprKwargs(task.Kwargs, reprLimit), task.Headers().Text("kwargsrepr"); got != want {
			t.Errorf("%s: kwargsrepr\n got %s\nwant %s", record.Name, got, want)
		}
	}
	if seen < 150 {
		t.Errorf("only %d messages were compared", seen)
	}
}
