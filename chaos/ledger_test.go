package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
)

// field is where a fault is played: the broker, the ledger beside it, the processes that work, and what was done to them.
type field struct {
	t              *testing.T
	server, ledger *testenv.RedisServer
	began          time.Time

	mu    sync.Mutex
	sent  map[string]bool
	again map[string]bool
	// harmed are the processes that were killed or stopped: only what they had started may run again.
	harmed map[int]bool
	procs  []*testenv.Process
}

func newField(t *testing.T, brokerArgs ...string) *field {
	t.Helper()
	return &field{
		t: t, server: testenv.Redis(t, brokerArgs...), ledger: testenv.Redis(t), began: time.Now(),
		sent: map[string]bool{}, again: map[string]bool{}, harmed: map[int]bool{},
	}
}

// options of this field's workers.
func (f *field) options() options {
	return options{Broker: f.server.URL(), Ledger: f.ledger.URL(), Concurrency: 4, Lease: sized(15*time.Second, 2*time.Second), KeepResults: time.Hour}
}

// start runs a worker.
func (f *field) start(o options) *testenv.Process {
	f.t.Helper()
	p := o.start(f.t)
	f.join(p)
	return p
}

func (f *field) join(p *testenv.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.procs = append(f.procs, p)
}

// harm notes that a process is about to be killed or stopped.
func (f *field) harm(p *testenv.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.harmed[p.PID()] = true
}

// send puts tasks on the queue, many in one round trip. They are known as sent when this returns.
func (f *field) send(works ...work) {
	f.t.Helper()
	conn, err := redis.Dial("tcp", f.server.Addr())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	for batch := range slices.Chunk(works, 1000) {
		args := redis.Args{"celery"}
		for _, w := range batch {
			args = args.Add(w.message(f.t))
		}
		if _, err := conn.Do("LPUSH", args...); err != nil {
			f.t.Fatalf("send: %v", err)
		}
		f.note(batch...)
	}
}

func (f *field) note(works ...work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range works {
		f.sent[w.ID] = true
		if w.Again {
			f.again[w.ID] = true
		}
	}
}

func (w work) message(t *testing.T) []byte {
	kwargs, err := protocol.Marshal(map[string]any{"id": w.ID, "millis": w.Millis, "again": w.Again, "due": w.Due})
	if err != nil {
		t.Fatal(err)
	}
	m := protocol.TaskMessage{ID: w.ID, Name: "chaos.work", Origin: "chaos"}
	if m.Kwargs, err = kwargs.Members(); err != nil {
		t.Fatal(err)
	}
	if w.Due > 0 {
		m.ETA = time.UnixMicro(int64(w.Due * 1e6)).UTC()
	}
	message, err := m.Message()
	if err != nil {
		t.Fatal(err)
	}
	message.Properties.DeliveryInfo = protocol.Object{{Name: "exchange", Value: protocol.Quote("")}, {Name: "routing_key", Value: protocol.Quote("celery")}}
	return message.AppendJSON(nil)
}

// works makes n tasks of the given length; every tenth one asks for a second attempt.
func works(prefix string, n int, millis float64) []work {
	all := make([]work, n)
	for i := range all {
		all[i] = work{ID: fmt.Sprintf("%s%d", prefix, i), Millis: millis, Again: millis > 0 && i%10 == 0}
	}
	return all
}

// settled tells that nothing waits, nothing is held and nothing is parked.
func (f *field) settled() bool {
	conn, err := redis.Dial("tcp", f.server.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	for _, question := range [][2]string{{"LLEN", "celery"}, {"HLEN", "unacked"}, {"ZCARD", "unacked_index"}, {"ZCARD", "lovage:parked:celery"}} {
		if n, err := redis.Int(conn.Do(question[0], question[1])); err != nil || n != 0 {
			return false
		}
	}
	return true
}

func (f *field) awaitSettled(timeout time.Duration) {
	f.t.Helper()
	deadline := time.Now().Add(timeout)
	for !f.settled() {
		if time.Now().After(deadline) {
			f.t.Errorf("after %s there are %d messages waiting and %d held", timeout, f.server.Int("LLEN", "celery"), f.server.Int("HLEN", "unacked"))
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// tally is what became of the tasks.
type tally struct {
	sent, once, twice, lost int
	// doubled are the runs of a second attempt, or of a task, that no harm to a process explains: the message was there twice.
	doubled  int
	runs     int
	lateness []float64
	lostIDs  []string
	// byPID counts the runs that each process has started.
	byPID map[int]int
}

type run struct {
	id      string
	attempt int
}

// count reads the ledger.
func (f *field) count() tally {
	f.t.Helper()
	starts, ends := map[run][]int{}, map[run]bool{}
	result := tally{byPID: map[int]int{}}
	for from := 0; ; from += 100_000 {
		entries := f.ledger.Strings("LRANGE", "runs", from, from+99_999)
		if len(entries) == 0 {
			break
		}
		for _, entry := range entries {
			parts := strings.Fields(entry)
			attempt, _ := strconv.Atoi(parts[2])
			pid, _ := strconv.Atoi(parts[3])
			key := run{parts[1], attempt}
			if parts[0] != "E" {
				starts[key] = append(starts[key], pid)
				result.byPID[pid]++
				result.runs++
			}
			if parts[0] != "S" {
				ends[key] = true
			}
			if late, _ := strconv.ParseFloat(parts[4], 64); late != 0 {
				result.lateness = append(result.lateness, late)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	result.sent = len(f.sent)
	for id := range f.sent {
		last := run{id, 0}
		if f.again[id] {
			last.attempt = 1
		}
		switch pids := starts[last]; {
		case !ends[last]:
			result.lost++
			result.lostIDs = append(result.lostIDs, id)
		case len(pids) > 1:
			result.twice++
		default:
			result.once++
		}
	}
	for key, pids := range starts {
		for _, before := range pids[:len(pids)-1] {
			if !f.harmed[before] {
				result.doubled++
				f.t.Logf("%s, attempt %d, ran in %v, and nothing was done to process %d", key.id, key.attempt, pids, before)
			}
		}
	}
	return result
}

// excuse counts as harmed the processes that say that they lost their lease: others have run what they held.
func (f *field) excuse() int {
	n := 0
	for _, p := range f.procs {
		if strings.Contains(p.Output(), "lease lost") {
			f.harm(p)
			n++
		}
	}
	return n
}

// verdict prints the line of the table, and fails the test for what is lost or doubled, or for a claim that is nobody's.
func (f *field) verdict(note string) tally {
	f.t.Helper()
	result := f.count()
	f.t.Logf("sent %d, ran once %d, ran twice or more %d, lost %d, settled twice %d; %d runs, %s; %.0f s",
		result.sent, result.once, result.twice, result.lost, result.doubled, result.runs, note, time.Since(f.began).Seconds())
	if result.lost > 0 || result.doubled > 0 {
		f.t.Errorf("%d lost (%.20v), %d doubled", result.lost, result.lostIDs, result.doubled)
	}
	f.noOrphans()
	return result
}

// noOrphans checks that no claim is left behind.
func (f *field) noOrphans() {
	f.t.Helper()
	for _, pattern := range []string{"lovage:claims:*", "lovage:inbox:*"} {
		testenv.Eventually(f.t, 30*time.Second, "no key is left of "+pattern, func() bool { return len(f.server.Strings("KEYS", pattern)) == 0 })
	}
}

// percentile of unsorted values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}
