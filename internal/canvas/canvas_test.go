package canvas

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// composer makes ids that can be told apart: new1, new2, ...
func composer() *Composer {
	n := 0
	return NewComposer(Origin{
		NewID: func() string { n++; return fmt.Sprint("new", n) }, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ReplyTo: "me", Node: "gen1@host", ParentID: "p", RootID: "r",
		Queue: func(string) string { return "celery" },
	})
}

func sig(name, options string) string {
	return `{"task": "` + name + `", "args": [9], "kwargs": {}, "options": {` + options + `}, "subtask_type": null, "immutable": false}`
}

func raws(texts ...string) []protocol.Raw {
	out := make([]protocol.Raw, len(texts))
	for i, text := range texts {
		out[i] = protocol.Raw(text)
	}
	return out
}

// sent writes what a plan sends, one line for each message.
func sent(t *testing.T, c *Composer) string {
	t.Helper()
	var lines []string
	for _, s := range c.Sends {
		task, err := protocol.ParseTask(s.Message.AppendJSON(nil), protocol.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s%s parent=%s root=%s group=%s chain=%d to %s", task.Name, task.ID, protocol.ReprArgs(task.Args, 0), task.ParentID, task.RootID, task.GroupID, len(task.Chain), s.Queue))
	}
	return strings.Join(lines, "\n")
}

func TestWhatFollowsASuccess(t *testing.T) {
	for name, row := range map[string]struct {
		task     protocol.Task
		want     string
		children string
	}{
		"nothing":      {protocol.Task{}, "", "[]"},
		"one callback": {protocol.Task{Callbacks: raws(sig("a", `"task_id": "i", "queue": "q"`))}, "a i(7, 9) parent=p root=r group= chain=0 to q", `[[["i", null], null]]`},
		"two callbacks are a group": {
			protocol.Task{Callbacks: raws(sig("a", ""), sig("b", ""))},
			"a new2(7, 9) parent=p root=r group=new1 chain=0 to celery\nb new3(7, 9) parent=p root=r group=new1 chain=0 to celery",
			`[[["new1", null], [[["new2", null], null], [["new3", null], null]]]]`,
		},
		"the last of the chain is next": {
			protocol.Task{Chain: raws(sig("last", ""), sig("next", `"task_id": "i"`))}, "next i(7, 9) parent=p root=r group= chain=1 to celery", `[[["i", null], null]]`,
		},
		"an immutable step": {
			protocol.Task{Chain: raws(strings.Replace(sig("next", `"task_id": "i"`), `"immutable": false`, `"immutable": true`, 1))},
			"next i(9,) parent=p root=r group= chain=0 to celery", `[[["i", null], null]]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := composer()
			row.task.ID, row.task.RootID = "p", "r"
			if err := c.Succeeded(&row.task, protocol.Raw("7")); err != nil {
				t.Fatal(err)
			}
			if got := sent(t, c); got != row.want {
				t.Errorf("sent\n%s\nwant\n%s", got, row.want)
			}
			if got := string(Tuples(c.Children)); got != row.children {
				t.Errorf("children %s, want %s", got, row.children)
			}
		})
	}
}

func TestWhatFollowsAFailure(t *testing.T) {
	c := composer()
	var ran []string
	c.Errback = func(call *ErrorCall, errback *Signature) bool {
		ran = append(ran, errback.Task+" "+call.ID)
		return errback.Task == "here"
	}
	task := &protocol.Task{
		ID: "p", RootID: "r", Name: "t", GroupID: "g", GroupIndex: 3, HasGroupIndex: true, Chord: protocol.Raw(sig("body", "")), Errbacks: raws(sig("here", ""), sig("elsewhere", "")),
		Chain: raws(sig("last", `"task_id": "l", "group_id": "outer", "group_index": 1, "chord": `+sig("outer body", "")), sig("next", `"task_id": "n"`)),
	}
	exception := protocol.Exception{Type: "ValueError", Module: "builtins", Args: raws(`"no"`)}
	if err := c.Failed(task, exception, "trace", true); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ran, ", "); got != "here p, elsewhere p" {
		t.Errorf("errbacks %s", got)
	}
	if got := sent(t, c); got != "elsewhere new2('p', 9) parent=p root=r group=new1 chain=0 to celery" {
		t.Errorf("sent %s", got)
	}
	if len(c.Failures) != 2 || c.Failures[0].ID != "l" || c.Failures[1].ID != "n" {
		t.Errorf("failed are %+v", c.Failures)
	}
	var parts []string
	for _, p := range c.Parts {
		parts = append(parts, fmt.Sprintf("%s/%s at %s: %s", p.Group, p.ID, p.Score, p.Value()))
	}
	const x = `{"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}`
	if got, want := strings.Join(parts, "\n"), `g/p at 3: [1, "p", "FAILURE", `+x+"]\n"+`outer/l at 1: [1, "l", "FAILURE", `+x+"]"; got != want {
		t.Errorf("parts\n%s\nwant\n%s", got, want)
	}
}

func TestJoin(t *testing.T) {
	ok, failed := `[1, "a", "SUCCESS", 1]`, `[1, "b", "FAILURE", {"exc_type": "KeyError", "exc_message": ["x"], "exc_module": "builtins"}]`
	for name, row := range map[string]struct {
		joined        Joined
		sent, failure string
	}{
		"all there": {Joined{Parts: raws(ok, `[1, "c", "SUCCESS", [2]]`)}, "body i([1, [2]], 9) parent=p root=r group= chain=0 to celery", ""},
		"a saved group": {
			Joined{Parts: raws(ok, `[1, "c", "SUCCESS", 2]`), Group: protocol.Raw(`{"result": [["g", null], [[["c", null], null], [["h", null], [[["a", null], null]]]]]}`)},
			"body i([2, [1]], 9) parent=p root=r group= chain=0 to celery", "",
		},
		"a failed member":            {Joined{Parts: raws(ok, failed)}, "", "ChordError('Dependency b raised KeyError(\\'x\\')')"},
		"a failed member of a group": {Joined{Parts: raws(failed), Group: protocol.Raw(`{}`)}, "", "ChordError('Join error: KeyError(\\'x\\')')"},
		"one is missing":             {Joined{Parts: raws(ok), Group: protocol.Raw(`{"result": [["g", null], [[["x", null], null]]]}`)}, "", "ChordError('Join error: no result of x')"},
		"a malformed part":           {Joined{Parts: raws(`{}`)}, "", "ChordError('Join error: malformed part of a chord')"},
	} {
		t.Run(name, func(t *testing.T) {
			c := composer()
			if err := c.Join(protocol.Raw(sig("body", `"task_id": "i"`)), row.joined); err != nil {
				t.Fatal(err)
			}
			failure := ""
			if len(c.Failures) > 0 {
				failure = strings.ReplaceAll(c.Failures[0].Exception.Repr(), `"`, `'`)
			}
			failure = strings.NewReplacer(`KeyError('x')`, `KeyError(\'x\')`).Replace(failure)
			if got := sent(t, c); got != row.sent || failure != row.failure {
				t.Errorf("sent %q, failed %s; want %q, %s", got, failure, row.sent, row.failure)
			}
		})
	}
}

func TestReplacementsThatCannotBe(t *testing.T) {
	for name, raw := range map[string]string{
		"not a signature": `5`, "an empty chain": `{"task": "celery.chain", "kwargs": {"tasks": []}, "subtask_type": "chain"}`, "a member of a chord": sig("a", `"chord": `+sig("b", "")),
	} {
		if err := composer().Replace(&protocol.Task{ID: "p"}, protocol.Raw(raw)); !errors.Is(err, ErrReplacement) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := composer().AddToChord(&protocol.Task{ID: "p"}, protocol.Raw(sig("a", "")), "i"); !errors.Is(err, ErrNoChord) {
		t.Errorf("add to no chord: %v", err)
	}
}

func TestDeepCanvasesAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [`, 600) + sig("a", "") + strings.Repeat(`]}}`, 600)
	if _, err := Decode(protocol.Raw(deep)); !errors.Is(err, errDepth) {
		t.Errorf("%v", err)
	}
}

// FuzzApply: no signature makes the composer panic; what it writes can be read again.
func FuzzApply(f *testing.F) {
	group := `{"task": "celery.group", "kwargs": {"tasks": [` + sig("a", "") + `, ` + sig("b", "") + `]}, "options": {}, "subtask_type": "group"}`
	for _, seed := range []string{
		sig("a", `"link": [`+sig("b", "")+`]`), group, `{"task": "celery.chain", "kwargs": {"tasks": [` + group + `, ` + sig("c", "") + `]}, "subtask_type": "chain"}`,
		`{"task": "celery.chord", "kwargs": {"header": ` + group + `, "body": ` + sig("c", "") + `, "kwargs": {}}, "subtask_type": "chord", "options": {"link_error": [` + sig("e", "") + `]}}`,
		`{"task": "celery.chunks", "kwargs": {"task": ` + sig("a", "") + `, "it": [[1], [2]], "n": 1}, "subtask_type": "chunks"}`,
		`{"task": "celery.chord", "kwargs": {"header": [], "body": null}, "subtask_type": "chord"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if protocol.Raw(data).Valid(protocol.Limits{}) != nil {
			return
		}
		s, err := Decode(data)
		if err != nil {
			return
		}
		if _, err := Decode(s.Raw()); err != nil {
			t.Errorf("%v in what was written:\n%s", err, s.Raw())
		}
		c := composer()
		if _, err := c.Apply(s, protocol.Raw("7")); err == nil {
			sent(t, c)
		}
		_ = composer().Failed(&protocol.Task{ID: "p", Chain: []protocol.Raw{data}, Errbacks: []protocol.Raw{data}}, protocol.Exception{Type: "E"}, "", true)
		_ = composer().Join(data, Joined{Parts: raws(`[1, "b", "FAILURE", {"exc_type": "E"}]`)})
		_ = composer().Replace(&protocol.Task{ID: "p", Chain: []protocol.Raw{data}, Callbacks: []protocol.Raw{data}}, data)
	})
}
