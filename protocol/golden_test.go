package protocol

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/testenv"
)

// meaning is what testdata/meaning.py makes of bytes with the real Celery's own code.
type meaning map[string]any

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

// summary is meaning.py's `tagged`: short values in full, long ones by their hash.
func summary(raw Raw) (string, error) {
	value, err := ParseValue(raw, Limits{})
	if err != nil {
		return "", err
	}
	text := tagged(value)
	if len([]rune(text)) <= 300 {
		return text, nil
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// differences lists where two meanings differ.
func differences(got, want meaning) string {
	got, want = compact(got), compact(want)
	var out []string
	for key := range want {
		if _, ok := got[key]; !ok {
			out = append(out, fmt.Sprintf("%s: got nothing, want %#v", key, want[key]))
		}
	}
	for key := range got {
		if !reflect.DeepEqual(got[key], want[key]) {
			out = append(out, fmt.Sprintf("%s:\n   got %#v\n  want %#v", key, got[key], want[key]))
		}
	}
	return strings.Join(out, "\n")
}

// compact leaves out what says nothing, as meaning.py does.
func compact(m meaning) meaning {
	noEmbed, _ := summary(Raw(emptyEmbed))
	nothing := map[string]any{"redelivered": false, "priority": 0.0, "retries": 0.0, "timelimit": []any{nil, nil}, "embed": noEmbed}
	out := meaning{}
	for key, value := range m {
		if value == nil || reflect.DeepEqual(value, nothing[key]) {
			continue
		}
		switch v := value.(type) {
		case meaning:
			value = compact(v)
		case map[string]any:
			value = compact(v)
		case string:
			if v == "" {
				continue
			}
		}
		out[key] = value
	}
	return out
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

// readAs gives our own reading of a record, in meaning.py's terms.
func readAs(kind, raw string) (meaning, error) {
	switch kind {
	case "task":
		return taskMeaning([]byte(raw))
	case "unacked":
		return unackedMeaning([]byte(raw))
	case "result", "group":
		return resultMeaning([]byte(raw), kind)
	}
	return broadcastMeaning([]byte(raw))
}

// taskMeaning reads a task message as the worker does.
func taskMeaning(raw []byte) (meaning, error) {
	task, err := ParseTask(raw, Limits{})
	if err != nil && !errors.Is(err, ErrPickle) {
		return nil, err
	}
	headers, headersErr := summary(task.Headers().Raw())
	if headersErr != nil {
		return nil, headersErr
	}
	out := meaning{
		"version": float64(task.Version), "headers": headers, "content_type": task.ContentType, "content_encoding": task.ContentEncoding,
		"correlation_id": task.CorrelationID, "reply_to": task.ReplyTo, "exchange": task.Exchange, "routing_key": task.RoutingKey,
		"priority": float64(task.Priority), "redelivered": task.Redelivered,
	}
	if err != nil {
		out["refused"] = "ContentDisallowed"
		return out, nil
	}
	index, ignore := any(nil), any(nil)
	if task.HasGroupIndex && task.Version == 2 {
		index = float64(task.GroupIndex)
	}
	if task.IgnoreResult != nil {
		ignore = *task.IgnoreResult
	}
	root := task.RootID
	if task.Version == 1 && root == task.ID {
		root = "" // version 1 has no root; we take the task for its own
	}
	shadow := task.Headers().Text("shadow")
	for key, value := range (meaning{
		"id": task.ID, "task": task.Name, "shadow": shadow, "root_id": root, "parent_id": task.ParentID, "group": task.GroupID, "group_index": index,
		"retries": float64(task.Retries), "eta": pythonUTC(task.ETA), "expires": pythonUTC(task.Expires),
		"timelimit": []any{secondsOrNil(task.HardTimeLimit), secondsOrNil(task.SoftTimeLimit)}, "ignore_result": ignore,
	}) {
		out[key] = value
	}
	embed := Object{{"callbacks", arrayOrNull(task.Callbacks)}, {"errbacks", arrayOrNull(task.Errbacks)}, {"chain", arrayOrNull(task.Chain)}, {"chord", orNull(task.Chord)}}
	for key, value := range map[string]Raw{"args": Array(task.Args), "kwargs": task.Kwargs.Raw(), "embed": embed.Raw()} {
		if out[key], err = summary(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pythonUTC(t Time) any {
	if t.IsZero() {
		return nil
	}
	return DateTime{Time: t.UTC()}.String()
}

func secondsOrNil(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.Seconds()
}

func unackedMeaning(raw []byte) (meaning, error) {
	parts, err := Raw(raw).Elements()
	if err != nil || len(parts) != 3 {
		return nil, fmt.Errorf("unacked entry of %d parts: %w", len(parts), err)
	}
	message, err := taskMeaning(parts[0])
	exchange, _ := parts[1].Text()
	key, _ := parts[2].Text()
	return meaning{"exchange": exchange, "routing_key": key, "message": message}, err
}

// resultMeaning reads a result, writes it again, and says what it then is: nothing may be lost in between.
func resultMeaning(raw []byte, kind string) (meaning, error) {
	if kind == "group" {
		document, err := summary(raw)
		return meaning{"document": document}, err
	}
	result, err := DecodeResult(raw)
	if err != nil {
		return nil, err
	}
	document, err := summary(result.AppendJSON(nil))
	out := meaning{"document": document}
	if result.Status != Failure && result.Status != Retry && result.Status != Revoked || err != nil {
		return out, err
	}
	exception, err := DecodeException(result.Result)
	if err != nil {
		return nil, err
	}
	args, err := summary(Array(exception.Args))
	out["exception"] = []any{exception.Type, exception.Module, args}
	return out, err
}

// broadcastMeaning reads an event, a request or a reply: an envelope with a value.
func broadcastMeaning(raw []byte) (meaning, error) {
	m, err := DecodeMessage(raw, Limits{})
	if err != nil {
		return nil, err
	}
	body, err := m.Payload(Limits{})
	if err != nil {
		return nil, err
	}
	value, err := Deserialize(m.ContentType, m.ContentEncoding, body, Limits{})
	if err != nil {
		return nil, err
	}
	payload, err := summary(value)
	if err != nil {
		return nil, err
	}
	headers, err := summary(m.Headers.Raw())
	return meaning{
		"headers": headers, "payload": payload, "content_type": m.ContentType, "content_encoding": m.ContentEncoding,
		"correlation_id": m.Properties.CorrelationID, "reply_to": m.Properties.ReplyTo, "exchange": m.Properties.Exchange,
		"routing_key": m.Properties.RoutingKey, "priority": float64(m.Properties.Priority), "redelivered": m.Properties.Redelivered,
	}, err
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

// rewrite decodes a record and encodes it again.
func rewrite(record golden) (Raw, error) {
	switch record.Kind {
	case "result":
		result, err := DecodeResult([]byte(record.Raw))
		if err != nil {
			return nil, err
		}
		return result.AppendJSON(nil), nil
	case "group":
		return Raw(record.Raw), nil
	case "unacked":
		parts, err := Raw(record.Raw).Elements()
		if err != nil {
			return nil, err
		}
		if parts[0], err = rewriteMessage(parts[0]); err != nil {
			return nil, err
		}
		return Array(parts), nil
	}
	return rewriteMessage([]byte(record.Raw))
}

func rewriteMessage(raw []byte) (Raw, error) {
	m, err := DecodeMessage(raw, Limits{})
	if err != nil {
		return nil, err
	}
	return m.AppendJSON(nil), nil
}

// rebuild makes a message out of a task's meaning with the builder that the client and the worker use.
func rebuild(raw []byte) (Raw, error) {
	task, err := ParseTask(raw, Limits{})
	if err != nil {
		return nil, err
	}
	message := TaskMessage{
		ID: task.ID, Name: task.Name, Args: task.Args, Kwargs: task.Kwargs, Callbacks: task.Callbacks, Errbacks: task.Errbacks, Chain: task.Chain, Chord: task.Chord,
		RootID: task.RootID, ParentID: task.ParentID, GroupID: task.GroupID, Shadow: task.Headers().Text("shadow"), Retries: task.Retries, ETA: task.ETA.Time,
		Expires: task.Expires.Time, HardTimeLimit: task.HardTimeLimit, SoftTimeLimit: task.SoftTimeLimit, IgnoreResult: task.IgnoreResult, Origin: "gen1@golden",
		Serializer: Serializer(task.ContentType), Compression: task.BodyCompression, ReplyTo: task.ReplyTo, Exchange: task.Exchange, RoutingKey: task.RoutingKey,
		Priority: task.Priority, DeliveryTag: uuid.NewString(),
	}
	if task.HasGroupIndex {
		message.GroupIndex = &task.GroupIndex
	}
	m, err := message.Message()
	if task.Version == 1 {
		m, err = message.MessageV1()
	}
	if err != nil {
		return nil, err
	}
	return m.AppendJSON(nil), nil
}

func encoded(raw Raw) string { return base64.StdEncoding.EncodeToString(raw) }

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
