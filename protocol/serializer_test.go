package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

type written struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type received struct {
	Data     string `json:"data"`
	Type     string `json:"type"`
	Encoding string `json:"encoding"`
}

// TestPythonReadsWhatWeSerialize: kombu and we write the same values, and refuse the same; each reads the other's bytes.
func TestPythonAndWeReadEachOthersContent(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	for _, name := range []string{"json", "msgpack", "yaml"} {
		r := newRandomValues(uint64(len(name)))
		n := randomCases
		switch name {
		case "msgpack":
			r.types = []int{4, 5, 5}
		case "yaml":
			r.types, n = []int{0, 1, 4, 5}, randomCases/4 // PyYAML is slow
		}
		var texts []string
		var questions []written
		for range n {
			text := r.value(4)
			if name == "yaml" {
				text = strings.ReplaceAll(text, "-01:02:03", "-01:02") // PyYAML writes such offsets and cannot read them
			}
			texts, questions = append(texts, text), append(questions, written{name, toBase64(text)})
		}
		refused := 0
		var ours, pythons []received
		var oursOf []string
		for i, answer := range ask(p, "serialize", questions) {
			data, contentType, encoding, err := Serializer(name).Serialize(Raw(texts[i]))
			if (answer.Error != "") != (err != nil) {
				t.Errorf("%s: %s\nPython: %q, we: %v", name, texts[i], answer.Error, err)
				continue
			}
			if err != nil {
				refused++
				continue
			}
			ours, oursOf = append(ours, received{toBase64(data), contentType, encoding}), append(oursOf, texts[i])
			pythons = append(pythons, received{answer.OK, contentType, encoding})
			if name == "msgpack" && !bytes.Equal(data, answer.bytes(t)) {
				t.Errorf("%s: %s\nPython: %x\nwe:     %x", name, texts[i], answer.bytes(t), data)
			}
			compareDeserialized(t, name, texts[i], contentType, encoding, answer.bytes(t))
		}
		if refused > n/2 {
			t.Errorf("%s: %d of %d values were refused by both: nothing is shown by that", name, refused, n)
		}
		read := ask(p, "deserialize", ours)
		for i, same := range ask(p, "deserialize", pythons) {
			if read[i] != same {
				t.Errorf("%s: %s\nPython reads its own as %s\nours as              %s %s", name, oursOf[i], same.bytes(t), read[i].bytes(t), read[i].Error)
			}
		}
	}
}

// compareDeserialized reads what Python wrote and compares it with what it was asked to write.
func compareDeserialized(t *testing.T, name, text, contentType, encoding string, data []byte) {
	t.Helper()
	want, _ := ParseValue(Raw(text), Limits{})
	sorted := tagged(sortKeys(want))
	if name == "yaml" && strings.Contains(sorted, `\ud`) {
		return // PyYAML writes lone surrogates as escapes that no other YAML reader takes
	}
	raw, err := Deserialize(contentType, encoding, data, Limits{})
	if err != nil {
		t.Errorf("%s: %s\nPython wrote %q\nwe: %v", name, text, data, err)
		return
	}
	got, err := ParseValue(raw, Limits{})
	if err != nil || tagged(sortKeys(got)) != sorted {
		t.Errorf("%s: Python wrote %q\nof %s\nwe read %s, %v", name, data, sorted, tagged(sortKeys(got)), err)
	}
}

func sortKeys(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = sortKeys(v[i])
		}
	case *Map:
		for i := range v.Members {
			v.Members[i].Value = sortKeys(v.Members[i].Value)
		}
		slices.SortFunc(v.Members, func(a, b MapMember) int { return strings.Compare(a.Name, b.Name) })
	}
	return value
}

// documents that only a hand or another program would write.
var yamlDocuments = []string{
	"", "---\n", "a: 1", "- yes\n- No\n- on\n- y\n- n\n- TRUE\n- True\n- tRUE", "[~, null, Null, NULL, nULL, '']", "a:\nb: ~",
	"[0, 1, +1, -1, 010, 0o10, 08, 0x1F, -0x1f, 0b101, 1_000, 0_7, 1:30, -190:20:30, 0:30, 1:60, 1:2:3:4, 123456789012345678901234567890]",
	"[1., 1.5, .5, -.5, +1.5, 1e5, 1.0e5, 1.0e+5, 1.0E-5, .5e+3, 1_0.5_0, 190:20:30.15, .inf, -.Inf, +.INF, .nan, .NaN, -.nan, 1.e+1, 1.5e, '.']",
	"[2001-12-14, 2001-1-1, 2001-12-14t21:59:43.10-05:00, 2001-12-14 21:59:43.10 -5, 2001-12-15 2:59:43.10, 2001-1-5 2:59:43, 2001-12-14T21:59:43Z, 2001-12-14 21:59:43 +05:30]",
	"[2001-12-14 21:59:43.123456789, 2001-12-14 21:59:43., 2001-12-14 21:59, 2001-12-14  21:59:43, 2001-12-14 21:59:43+0530, 12:30:45]",
	"2001-13-45", "2001-12-14 25:00:00", "0000-01-01", "[1-2-3, 1.2.3, 1-2, 12e03, 1e3, 0.1.2, -, +, --1, _1, 1__, 1_, 0x, 0b2, 0b_, 0x_]",
	"!!binary R0lGODlhDAAMAIQAAP", "!!binary \"aGVs\\nbG8=\"", "!!binary 'not!'", "!!str 12", "!!int '12'", "!!int x", "!!float 1", "!!float '1e3'", "!!bool 'yes'", "!!bool 1",
	"!!null x", "!!timestamp 2001-1-1", "!!timestamp x", "!!set {a, b, c}", "!!omap [a: 1, b: [2]]", "!!pairs [a: 1, a: 2]", "!!omap [a]", "!!python/tuple [1, 2]",
	"!!python/object/apply:os.system ['true']", "!local x", "!!map {a: 1}", "!!seq [1]", "!!seq {a: 1}", "! 12", "!<tag:yaml.org,2002:str> 12",
	"a: &x [1, 2]\nb: *x\nc: [*x, *x]", "a: *nothing", "&a [*a]", "&a {k: *a}", "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 3, <<: *a}",
	"- &a {x: 1}\n- &b {x: 2, z: 5}\n- {<<: [*a, *b], w: 0}\n- {<<: *a, <<: *b}", "{<<: 1}", "{<<: [1]}", "{'<<': 1}", "<<", "=", "{=: 1}", "[=]",
	"{1: a, 1.5: b, no: c, ~: d, .inf: e}", "{[1]: 2}", "{{a: 1}: 2}", "{2001-01-01: 1}", "? a\n: b", "{a, b: }", "a: b: c", "a:\n  - 1\n - 2", "[1, 2", "{a: 1",
	"'it''s'", `"a\tb\x41\u00e9\U0001F600\N\_\L\P\e\0"`, `"\q"`, "|\n  a\n  b\n", ">\n  a\n  b\n\n  c\n", "|-\n  a\n\n", "|+\n  a\n\n", "a: |2\n    x\n", "plain text, with: no", "a\n b\n c",
	"- - 1\n  - 2\n-\n  - 3", "a: 1\na: 2", "# only a comment\n", "a: 1 # one\n# end\n", "--- 1\n...\n", "--- 1\n--- 2\n", "%YAML 1.1\n---\na: 1", "%YAML 2.0\n---\na", "\t- a", "- \ta",
	"{a: http://x/y?z=1, b: 'c:d'}", "[a:b, c]", "[a, , b]", "[,]", "{a: 1,}", "- a:b\n- c: d", "key with spaces: v", "\ufeffa: 1", "a: \u0001", "a: é", "a: \u2028b", "a: 😀",
	"@a", "`a", "%a", "!!int 0x_f", "a: 'x", "a: \"x", strings.Repeat("[", 30) + strings.Repeat("]", 30), "a: >-\n  folded\n  text\n\n  par\nb: 1", "- !!int 1\n- !!str\n- !!null", "? |\n  k\n: v", "a: {b: [c, {d: e}]}",
	"{\"a\":1}", "[\"a\":1]", "{a: b, ? c : d}", "- [a: 1, b]", "a: -1\nb: - 1", "a: *", "a: &", "&a a: &b b\nc: *a", "&a", "[&a x, *a]", "*a", "{&k a: 1, *k : 2}", "0.0", "-0", "-0.0", "1e400", "1.0e+400",
}

func TestYAMLMeansWhatPyYAMLSays(t *testing.T) {
	p := startPython(t, testenv.Celery57)
	var questions []string
	for _, document := range yamlDocuments {
		questions = append(questions, toBase64(document))
	}
	for i, want := range ask(p, "yaml_json", questions) {
		var got string
		raw, err := decodeYAML([]byte(yamlDocuments[i]), Limits{})
		if err == nil {
			value, parseErr := ParseValue(raw, Limits{})
			err = parseErr
			got = tagged(value)
		}
		if (want.Error != "") != (err != nil) || err == nil && got != string(want.bytes(t)) {
			t.Errorf("%q\nPyYAML: %s %s\nwe:     %s %v", yamlDocuments[i], want.bytes(t), want.Error, got, err)
		}
	}
}

// TestYAMLDeviations holds what is known to differ from PyYAML: our parser takes a tab behind a colon, and does not take two escapes.
func TestYAMLDeviations(t *testing.T) {
	if raw, err := decodeYAML([]byte("a:\tb"), Limits{}); err != nil || string(raw) != `{"a": "b"}` {
		t.Errorf("%s, %v", raw, err)
	}
	for _, document := range []string{`"\/"`, `"\ud83d"`} {
		if raw, err := decodeYAML([]byte(document), Limits{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %s, %v", document, raw, err)
		}
	}
}

func TestYAMLBombsAreLimited(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	nothing := "a0: &a0 {}\n"
	for i := range 12 {
		next := strings.Repeat(fmt.Sprintf("*a%d, ", i), 9)
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, next)
		nothing += fmt.Sprintf("a%d: &a%d {<<: [%s]}\n", i+1, i+1, next)
	}
	for _, text := range []string{bomb, nothing} {
		used := allocated(func() {
			if _, err := decodeYAML([]byte(text), Limits{MaxBody: 1 << 20}); !errors.Is(err, ErrTooLarge) {
				t.Errorf("a bomb of aliases: %v", err)
			}
		})
		if used > 64<<20 {
			t.Errorf("%d MiB were allocated", used>>20)
		}
	}
	if _, err := decodeYAML([]byte("&a [*a]"), Limits{}); !errors.Is(err, ErrTooDeep) {
		t.Errorf("a list that contains itself: %v", err)
	}
	if _, err := decodeYAML(make([]byte, 5<<20), Limits{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long document: %v", err)
	}
	if _, err := decodeYAML([]byte(strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), Limits{}); !errors.Is(err, ErrTooDeep) {
		t.Errorf("a deep document: %v", err)
	}
}

func TestMsgpackRefusals(t *testing.T) {
	for _, c := range []struct {
		data string
		want error
	}{
		{"", ErrSyntax}, {"\xc1", ErrSyntax}, {"\x92\x01", ErrSyntax}, {"\x01\x01", ErrSyntax}, {"\xa2a", ErrSyntax}, {"\xa1\xff", ErrSyntax}, {"\xdb\xff\xff\xff\xff", ErrSyntax},
		{"\xc6\xff\xff\xff\xff", ErrSyntax}, {"\xdd\xff\xff\xff\xff", ErrSyntax}, {"\xdf\xff\xff\xff\xff", ErrSyntax}, {"\xc9\xff\xff\xff\xff\x00", ErrType},
		{"\x81\x01\x02", ErrType}, {"\x81\xc4\x01a\x02", ErrType}, {"\xd4\x05\x00", ErrType}, {"\xc7\x0c\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", ErrType},
		{strings.Repeat("\x91", 600) + "\x01", ErrTooDeep},
	} {
		var err error
		used := allocated(func() { _, err = decodeMsgpack([]byte(c.data), Limits{}) })
		if !errors.Is(err, c.want) {
			t.Errorf("%.20q: %v, want %v", c.data, err, c.want)
		}
		if used > 1<<20 {
			t.Errorf("%.20q: %d bytes were allocated", c.data, used)
		}
	}
}

func TestMsgpackTimestampsAreDatetimes(t *testing.T) {
	for data, want := range map[string]string{
		"\xd6\xff\x00\x00\x00\x01":                                     "1970-01-01T00:00:01+00:00",
		"\xd7\xff\x00\x00\x0f\xa0\x00\x00\x00\x01":                     "1970-01-01T00:00:01.000001+00:00",
		"\xc7\x0c\xff\x00\x00\x03\xe8\xff\xff\xff\xff\xff\xff\xff\xff": "1969-12-31T23:59:59.000001+00:00",
	} {
		raw, err := decodeMsgpack([]byte(data), Limits{})
		if err != nil || string(raw) != string(typedRaw("datetime", want)) {
			t.Errorf("%x: %s, %v, want %s", data, raw, err, want)
		}
	}
}

func TestDeserializeKnowsContentTypes(t *testing.T) {
	for _, c := range []struct {
		contentType, encoding, body, want string
		err                               error
	}{
		{ContentJSON, "utf-8", `[1]`, `[1]`, nil},
		{ContentJSON, "latin-1", "\"\xe9\"", "", ErrSyntax},
		{ContentJSON, "utf-8", "[1] x", "", ErrSyntax},
		{ContentJSON, "utf-8", "", "", ErrSyntax},
		{ContentText, "utf-8", "é", `"\u00e9"`, nil},
		{ContentText, "latin-1", "\xe9", `"\u00e9"`, nil},
		{ContentText, "us-ascii", "\xe9", "", ErrSyntax},
		{ContentData, "binary", "\xff", `{"__type__": "base64", "__value__": "/w=="}`, nil},
		{ContentData, "utf-8", "x", `"x"`, nil},
		{"", "binary", "x", `{"__type__": "bytes", "__value__": "x"}`, nil},
		{ContentText, "klingon", "x", "", ErrContentType},
		{ContentPickle, "binary", "\x80\x04.", "", ErrPickle},
		{"application/x-java", "binary", "x", "", ErrContentType},
		{ContentJSON, "utf-8", strings.Repeat("1", 200), "", ErrTooLarge},
	} {
		raw, err := Deserialize(c.contentType, c.encoding, []byte(c.body), Limits{MaxBody: 100})
		if string(raw) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s %s %q: %s, %v", c.contentType, c.encoding, c.body, raw, err)
		}
	}
	if !strings.Contains(ErrPickle.Error(), "task_serializer") {
		t.Errorf("the refusal of pickles does not name the setting: %v", ErrPickle)
	}
	for _, name := range []string{"pickle", "xml"} {
		if _, _, _, err := Serializer(name).Serialize(Raw("1")); !errors.Is(err, ErrContentType) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if data, contentType, encoding, err := Serializer("raw").Serialize(bytesValue([]byte("\xff"))); string(data) != "\xff" || contentType != ContentData || encoding != "binary" || err != nil {
		t.Errorf("raw: %q %s %s %v", data, contentType, encoding, err)
	}
}

func FuzzMsgpack(f *testing.F) {
	r := newRandomValues(8)
	r.types = []int{5}
	for range 100 {
		if data, err := encodeMsgpack(Raw(r.value(4))); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("\xd7\xff\x00\x00\x0f\xa0\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		raw, err := decodeMsgpack(data, Limits{MaxBody: limit})
		if err != nil {
			return
		}
		if err := raw.Valid(Limits{}); err != nil {
			t.Fatalf("%x became %q: %v", data, raw, err)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, document := range yamlDocuments {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raw, err := decodeYAML(data, Limits{MaxBody: 1 << 20})
		if err != nil {
			return
		}
		if err := raw.Valid(Limits{}); err != nil {
			t.Fatalf("%q became %q: %v", data, raw, err)
		}
		if value, err := ParseValue(raw, Limits{}); err == nil {
			if again, err := encodeYAML(raw); err == nil {
				back, err := decodeYAML(again, Limits{})
				if err != nil {
					t.Fatalf("%q was written as %q: %v", raw, again, err)
				}
				if reread, err := ParseValue(back, Limits{}); err != nil || tagged(reread) != tagged(value) {
					t.Fatalf("%q was written as %q and read as %q", raw, again, back)
				}
			}
		}
	})
}
