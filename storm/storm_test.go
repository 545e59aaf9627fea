package storm_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/lockutil"
	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/storm"
	"github.com/lovage-go/lovage/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func control(t *testing.T, server *testenv.RedisServer) *storm.Control {
	t.Helper()
	c, err := storm.New(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// run counts, and fails while told to.
type run struct {
	runs    int
	failing bool
}

func (r *run) handle(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
	r.runs++
	if r.failing {
		return nil, errors.New("no")
	}
	return protocol.Null(), nil
}

func deferred(t *testing.T, f tasks.Func) bool {
	t.Helper()
	_, err := f(t.Context(), nil, nil)
	var again *tasks.Retrying
	if errors.Is(err, storm.ErrDeferred) && (!errors.As(err, &again) || *again.Countdown <= 0 || *again.MaxRetries != -1) {
		t.Fatalf("put off by %v", err)
	}
	return errors.Is(err, storm.ErrDeferred)
}

func TestAPausedTaskIsPutOffUntilItIsResumed(t *testing.T) {
	server := testenv.Redis(t)
	people, c := control(t, server), control(t, server)
	var r run
	f := c.Guard("t", r.handle, storm.Limits{})
	if deferred(t, f) || r.runs != 1 {
		t.Fatal("it does not run")
	}
	if err := people.Give(t.Context(), storm.Order{Task: "t", Paused: true, Who: "me", Why: "test"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "it is paused", func() bool { return deferred(t, f) })
	if err := people.Give(t.Context(), storm.Order{Task: "t", Who: "me", Why: "test"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "it runs again", func() bool { return !deferred(t, f) })
}

func TestARateHoldsInTheWholeFleet(t *testing.T) {
	server := testenv.Redis(t)
	var r run
	limits := storm.Limits{PerMinute: 600} // one in 100 ms
	fleet := []tasks.Func{control(t, server).Guard("t", r.handle, limits), control(t, server).Guard("t", r.handle, limits)}
	began := time.Now()
	for i := 0; r.runs < 25; i++ {
		deferred(t, fleet[i%2])
	}
	// The first second's worth may be begun at once.
	if took := time.Since(began); took < 1300*time.Millisecond || took > 10*time.Second {
		t.Errorf("25 runs at 600 a minute took %s", took)
	}
}

func TestTheBreakerOpensAndTriesAgain(t *testing.T) {
	r := run{failing: true}
	f := control(t, testenv.Redis(t)).Guard("t", r.handle, storm.Limits{BreakAt: 50, BreakAfter: 4, BreakFor: 300 * time.Millisecond})
	for range 4 {
		if deferred(t, f) {
			t.Fatal("the breaker opened too early")
		}
	}
	if !deferred(t, f) {
		t.Fatal("the breaker is not open")
	}
	testenv.Eventually(t, 5*time.Second, "one tries", func() bool { return !deferred(t, f) })
	if !deferred(t, f) || r.runs != 5 {
		t.Errorf("it failed, and yet the breaker is closed; %d runs", r.runs)
	}
	r.failing = false
	testenv.Eventually(t, 5*time.Second, "one tries again", func() bool { return !deferred(t, f) })
	for range 10 {
		if deferred(t, f) {
			t.Fatal("the breaker is not closed")
		}
	}
}

func TestSoManyRunAtOnceAndNoMore(t *testing.T) {
	server := testenv.Redis(t)
	locks, err := lockutil.New(lockutil.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	inside, leave := make(chan bool), make(chan bool)
	f := control(t, server).Guard("t", func(context.Context, []protocol.Raw, protocol.Object) (protocol.Raw, error) {
		inside <- true
		<-leave
		return protocol.Null(), nil
	}, storm.Limits{AtOnce: 2, Locks: locks})
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := f(context.Background(), nil, nil)
			done <- err
		}()
		<-inside
	}
	if !deferred(t, f) {
		t.Error("a third one runs")
	}
	close(leave)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Error(err)
	}
}

func TestWithinTheWindowASecondMessageIsNotQueued(t *testing.T) {
	c := control(t, testenv.Redis(t))
	if id, first, err := c.Dedupe(t.Context(), "t", "k", "one", time.Minute); err != nil || !first || id != "one" {
		t.Errorf("%s %t %v", id, first, err)
	}
	if id, first, err := c.Dedupe(t.Context(), "t", "k", "two", time.Minute); err != nil || first || id != "one" {
		t.Errorf("%s %t %v", id, first, err)
	}
	if id, first, err := c.Dedupe(t.Context(), "t", "other", "three", time.Minute); err != nil || !first || id != "three" {
		t.Errorf("%s %t %v", id, first, err)
	}
}

func TestShardsAreTheSameWhateverTheOrder(t *testing.T) {
	want := [][]string{{"a", "b"}, {"c", "d"}, {"e", "f", "g"}}
	for _, names := range [][]string{{"a", "b", "c", "d", "e", "f", "g"}, {"g", "a", "c", "b", "f", "e", "d", "a"}} {
		if got := storm.Shards(names, 3); !reflect.DeepEqual(got, want) {
			t.Errorf("%v", got)
		}
	}
	if got := storm.Shards([]string{"a"}, 3); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
