package client

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/protocol"
)

// shapes are those of testdata/capture.py, built in Go.
func shapes() map[string]Signature {
	t := func(name string, args ...any) Signature { return S(Task{Name: "tasks." + name, Args: args}) }
	q := func(queue, name string, args ...any) Signature {
		return S(Task{Name: "tasks." + name, Args: args, Queue: queue})
	}
	list := func(s ...Signature) []Signature { return s }
	a := Task{Name: "tasks.a"}
	return map[string]Signature{
		"task":        q("q", "a", 1, "two"),
		"task_kwargs": S(Task{Name: "tasks.a", Args: []any{1}, Kwargs: map[string]any{"k": []any{1, nil}}}),
		"task_options": S(Task{
			Name: "tasks.a", Args: []any{1}, Queue: "q", Priority: 3, Headers: map[string]any{"x-a": 1}, IgnoreResult: true, TimeLimit: time.Minute, SoftTimeLimit: 30500 * time.Millisecond,
			Shadow: "other", Retries: 2,
		}),
		"immutable":               Chain(t("a", 1), SI(Task{Name: "tasks.b", Args: []any{2}})),
		"chain_three":             Chain(t("a", 1), t("b", 2), t("c")),
		"chain_nested":            Chain(t("a", 1), Chain(t("b"), t("c")), t("d")),
		"chain_queues":            Chain(q("q1", "a", 1), q("q2", "b", 2)),
		"group_two":               Group(t("a", 1), t("b", 2)),
		"group_nested":            Group(t("a", 1), Group(t("b", 2), t("c", 3))),
		"group_of_chains":         Group(Chain(t("a", 1), t("b")), Chain(t("c", 1), t("d"))),
		"chord_two":               Chord(list(t("a", 1), t("b", 2)), t("c")),
		"chord_body_chain":        Chord(list(t("a", 1), t("b", 2)), Chain(t("c"), t("d"))),
		"chord_body_group":        Chord(list(t("a", 1), t("b", 2)), Group(t("c"), t("d"))),
		"chord_header_chains":     Chord(list(Chain(t("a", 1), t("b")), t("c", 2)), t("d")),
		"chord_header_complex":    Chord(list(Chain(t("a", 1), Group(t("b"), t("c"))), t("d", 2)), t("e")),
		"chord_empty":             Chord(nil, t("c")),
		"chord_of_chords":         Chord(list(Chord(list(t("a", 1), t("b", 2)), t("c")), t("d", 3)), t("e")),
		"chain_group_task":        Chain(t("a", 1), Group(t("b"), t("c")), t("d")),
		"chain_group_task_task":   Chain(t("a", 1), Group(t("b"), t("c")), t("d"), t("e")),
		"chain_starts_with_group": Chain(Group(t("a", 1), t("b", 2)), t("c"), t("d")),
		"chain_ends_in_group":     Chain(t("a", 1), Group(t("b"), t("c"))),
		"chain_two_chords":        Chain(Group(t("a", 1), t("b", 2)), t("c"), Group(t("d"), t("e")), t("f")),
		"linked":                  t("a", 1).Link(t("b"), t("c")).LinkError(t("e")),
		"link_of_chord":           Chord(list(t("a", 1), t("b", 2)), t("c")).Link(t("d")).LinkError(t("e")),
		"chunks":                  Chunks(a, [][]any{{1, 1}, {2, 2}, {3, 3}}, 2),
		"starmap":                 Starmap(a, [][]any{{1, 1}, {2, 2}}),
		"xmap":                    Map(a, []any{1, 2}),
		"stamped":                 Chain(t("a", 1), t("b")).Stamp(map[string]any{"tenant": "acme"}),
	}
}

// captured is one line of testdata/golden.jsonl.
type captured struct {
	Name     string
	Messages [][2]string
	Keys     map[string]string
}

// text is all of a capture, with bodies readable and ids numbered in the order of their coming.
func (c captured) text(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, m := range c.Messages {
		message, err := protocol.DecodeMessage([]byte(m[1]), protocol.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		body, err := base64.StdEncoding.DecodeString(string(message.Body))
		if err != nil {
			t.Fatal(err)
		}
		message.Body = nil
		fmt.Fprintf(&out, "%s: %s\n    %s\n", m[0], body, message.AppendJSON(nil))
	}
	names := make([]string, 0, len(c.Keys))
	for name := range c.Keys {
		names = append(names, fmt.Sprintf("%s = %s\n", name, c.Keys[name]))
	}
	text := out.String()
	ids := map[string]string{}
	number := func(text string) string {
		return id.ReplaceAllStringFunc(text, func(found string) string {
			if ids[found] == "" {
				ids[found] = fmt.Sprintf("<%d>", len(ids)+1)
			}
			return ids[found]
		})
	}
	text = number(text)
	for i := range names {
		names[i] = number(names[i])
	}
	sort.Strings(names)
	return origin.ReplaceAllString(text+strings.Join(names, ""), "<origin>")
}

var (
	id     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	origin = regexp.MustCompile(`gen\d+@[^"]+`)
)

// compose is what the client would put on Redis.
func compose(t *testing.T, name string, s Signature) captured {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	c := &Client{config: Config{Queue: "celery"}, origin: "gen1@host", replyTo: uuid.NewString()}
	composer := c.composer(time.Now(), uuid.NewString)
	if _, err := composer.Apply(s.node.Clone()); err != nil {
		t.Fatal(err)
	}
	layout, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer layout.Close()
	out := captured{Name: name, Keys: map[string]string{}}
	for _, send := range composer.Sends {
		out.Messages = append(out.Messages, [2]string{layout.Layout().Queue(send.Queue, send.Priority), string(send.Message.AppendJSON(nil))})
	}
	for _, size := range composer.Sizes {
		out.Keys[protocol.GroupKey(size.Group)+".s"] = fmt.Sprint(size.Size)
	}
	for _, group := range composer.Groups {
		out.Keys[protocol.GroupKey(group.ID)] = group.Document
	}
	return out
}

// TestCanvasesAreCelerysByteForByte compares what the client sends with what Celery 5.7.0 sends for the same canvas (testdata/capture.py): every byte but ids, origin and time.
func TestCanvasesAreCelerysByteForByte(t *testing.T) {
	file, err := os.Open("testdata/golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ours := shapes()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var theirs captured
		if err := json.Unmarshal(lines.Bytes(), &theirs); err != nil {
			t.Fatal(err)
		}
		s, ok := ours[theirs.Name]
		if !ok {
			t.Errorf("%s is not built here", theirs.Name)
			continue
		}
		delete(ours, theirs.Name)
		t.Run(theirs.Name, func(t *testing.T) {
			if got, want := compose(t, theirs.Name, s).text(t), theirs.text(t); got != want {
				t.Errorf("Go sends\n%s\nCelery sends\n%s", got, want)
			}
		})
	}
	if err := lines.Err(); err != nil || len(ours) > 0 {
		t.Errorf("%v; not captured: %v", err, ours)
	}
}
