package canvas

import (
	"os"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

// TestCelerysToolsSeeTheSame: collect(), graph, join and the like, and Celery's builtin tasks, give with a Lovage worker what they give with a Python worker.
func TestCelerysToolsSeeTheSame(t *testing.T) {
	server := testenv.Redis(t)
	python := testenv.Python(t, testenv.Celery57)
	py, lovage := fleet{"py", database(server, 0)}, fleet{"go", database(server, 1)}
	py.startPython(t, python, "a,b,celery")
	lovage.startGo(t, worker.Config{Queues: []string{"a", "b", "celery"}})
	want := python.Run(folder(t), py.env(), "", "tools.py")
	if got := python.Run(folder(t), lovage.env(), "", "tools.py"); got != want {
		t.Errorf("with Lovage\n%s\nwith Celery\n%s", got, want)
	}
}

// chords are the shapes whose results pass through a chord's keys.
var chords = []string{
	"chord_plain", "chord_order", "chord_of_one", "chord_header_of_groups", "chord_header_chain_into_group", "chord_header_of_chords", "chord_body_group", "chord_body_chord",
	"chord_member_fails", "chord_member_retries", "chord_nested_fails", "chain_three_chords", "chain_deep", "replace_chain_in_chord", "add_to_chord",
}

// TestChordsWhereverTheResultsAre: in another database of the broker's server, on another server, under a prefix, without order.
func TestChordsWhereverTheResultsAre(t *testing.T) {
	python := testenv.Python(t, testenv.Celery57)
	queues := []string{"a", "b", "celery"}
	peace := fleet{"peace", testenv.Redis(t).URL()}
	peace.startGo(t, worker.Config{Queues: queues})
	want := peace.run(t, python, chords...)
	for name, row := range map[string]struct {
		env    string
		config func(server *testenv.RedisServer) (backend string, config worker.Config)
	}{
		"another database": {"BACKEND", func(server *testenv.RedisServer) (string, worker.Config) {
			return database(server, 3), worker.Config{ResultBackend: database(server, 3)}
		}},
		"another server": {"BACKEND", func(*testenv.RedisServer) (string, worker.Config) {
			url := testenv.Redis(t).URL()
			return url, worker.Config{ResultBackend: url}
		}},
		"a prefix": {"PREFIX", func(*testenv.RedisServer) (string, worker.Config) {
			return "p:", worker.Config{KeyPrefix: "p:", ResultKeyPrefix: "p:"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := testenv.Redis(t)
			value, config := row.config(server)
			f := fleet{"go", server.URL()}
			config.Queues = queues
			t.Setenv(row.env, value)
			f.startGo(t, config)
			got := f.run(t, python, chords...)
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s gives\n%s\nwith the broker\n%s", name, got[name], want[name])
				}
			}
		})
	}
}

// TestUnorderedChords: result_chord_ordered off, with Python workers that have it off, too.
func TestUnorderedChords(t *testing.T) {
	t.Setenv("UNORDERED", "1")
	server := testenv.Redis(t)
	python := testenv.Python(t, testenv.Celery57)
	f := fleet{"mixed", server.URL()}
	f.startPython(t, python, "a,celery")
	f.startGo(t, worker.Config{Queues: []string{"b", "celery"}, ResultChordUnordered: true})
	for name, seen := range f.run(t, python, "chord_plain", "chord_of_one", "chord_twenty", "chain_group_task_task", "chord_header_of_groups", "add_to_chord") {
		if name == "left behind" {
			if seen != `{"name": "left behind", "keys": [], "hanging": []}` {
				t.Error(seen)
			}
		}
	}
	if keys := server.Strings("KEYS", "celery-taskset-meta-*.j"); len(keys) > 0 || os.Getenv("UNORDERED") == "" {
		t.Errorf("left: %v", keys)
	}
}
