package lockutil_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/lockutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func locker(t *testing.T, server *testenv.RedisServer, config lockutil.Config) *lockutil.Locker {
	t.Helper()
	config.URL = server.URL()
	l, err := lockutil.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func take(t *testing.T, l *lockutil.Locker, r lockutil.Request) *lockutil.Held {
	t.Helper()
	h, err := l.Lock(t.Context(), r)
	if err != nil {
		t.Fatalf("lock %v: %v", r.Keys, err)
	}
	t.Cleanup(func() { _ = h.Release(context.Background()) })
	return h
}

func TestManyWhoWantOneLockHoldItOneAfterTheOtherUnderGrowingNumbers(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{})
	var inside, worst atomic.Int32
	var mu sync.Mutex
	var numbers []int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			h, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"k"}, Wait: 30 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > 1 {
				worst.Store(n)
			}
			mu.Lock()
			numbers = append(numbers, h.Number("k"))
			mu.Unlock()
			inside.Add(-1)
			if err := h.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if worst.Load() != 0 || len(numbers) != 50 || !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != 50 {
		t.Errorf("%d at once; numbers %d", worst.Load(), numbers)
	}
}

func TestWaitersAreServedInTheOrderOfTheirArrival(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{})
	first := take(t, l, lockutil.Request{Keys: []string{"k"}})
	var mu sync.Mutex
	var order []int
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			h, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"k"}, Wait: 20 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			_ = h.Release(t.Context())
		})
		testenv.Eventually(t, 5*time.Second, "it waits", func() bool { return waiting(t, l, "k") == i+1 })
	}
	if _, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"k"}}); !errors.Is(err, lockutil.ErrHeld) {
		t.Errorf("a try-lock on a held lock: %v", err)
	}
	_ = first.Release(t.Context())
	all.Wait()
	if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("served in the order %d", order)
	}
}

func waiting(t *testing.T, l *lockutil.Locker, key string) int {
	t.Helper()
	list, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Key == key {
			return s.Waiting
		}
	}
	return 0
}

func TestSemaphoreReadersAndWriters(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{})
	held := func(r lockutil.Request) bool {
		_, err := l.Lock(t.Context(), r)
		if err != nil && !errors.Is(err, lockutil.ErrHeld) {
			t.Fatal(err)
		}
		return err != nil
	}
	s := lockutil.Request{Keys: []string{"s"}, Holders: 3}
	one := take(t, l, s)
	take(t, l, s)
	take(t, l, s)
	if !held(s) {
		t.Error("a fourth got into a semaphore for three")
	}
	_ = one.Release(t.Context())
	take(t, l, s)

	reader, writer := lockutil.Request{Keys: []string{"rw"}, Shared: true}, lockutil.Request{Keys: []string{"rw"}}
	r1 := take(t, l, reader)
	r2 := take(t, l, reader)
	if !held(writer) {
		t.Error("a writer got in beside readers")
	}
	// A writer that waits keeps new readers out, or it would wait for ever.
	got := make(chan *lockutil.Held)
	go func() {
		w, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"rw"}, Wait: 20 * time.Second})
		if err != nil {
			t.Error(err)
		}
		got <- w
	}()
	testenv.Eventually(t, 5*time.Second, "the writer waits", func() bool { return waiting(t, l, "rw") == 1 })
	if !held(reader) {
		t.Error("a reader passed a waiting writer")
	}
	_, _ = r1.Release(t.Context()), r2.Release(t.Context())
	w := <-got
	if !held(reader) {
		t.Error("a reader got in beside a writer")
	}
	_ = w.Release(t.Context())
	take(t, l, reader)
}

func TestSeveralKeysInAnyOrderDoNotDeadlock(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{})
	var all sync.WaitGroup
	for i := range 20 {
		keys := []string{"a", "b", "c"}
		if i%2 == 1 {
			slices.Reverse(keys)
		}
		all.Go(func() {
			h, err := l.Lock(t.Context(), lockutil.Request{Keys: keys, Wait: 30 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			_ = h.Release(t.Context())
		})
	}
	all.Wait()
	a := take(t, l, lockutil.Request{Keys: []string{"b"}})
	if _, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"c", "b", "a"}}); !errors.Is(err, lockutil.ErrHeld) {
		t.Errorf("locked beside its holder: %v", err)
	}
	_ = a.Release(t.Context())
	take(t, l, lockutil.Request{Keys: []string{"a", "c"}}) // the failed one left nothing behind
}

func TestAHeldLockIsRenewedAndALostOneEndsItsContext(t *testing.T) {
	server := testenv.Redis(t)
	var mu sync.Mutex
	var events []string
	l := locker(t, server, lockutil.Config{TTL: 300 * time.Millisecond, Observe: func(e lockutil.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Op+" "+e.Result)
	}})
	h := take(t, l, lockutil.Request{Keys: []string{"k"}, Note: "task 1"})
	began := time.Now()
	testenv.Eventually(t, 5*time.Second, "three leases have passed", func() bool { return time.Since(began) > 900*time.Millisecond })
	if err := h.Err(); err != nil {
		t.Fatalf("lost while it was renewed: %v", err)
	}
	server.Do("FLUSHALL")
	<-h.Context().Done()
	if cause := context.Cause(h.Context()); !errors.Is(cause, lockutil.ErrLost) {
		t.Errorf("the context's cause is %v", cause)
	}
	next := take(t, l, lockutil.Request{Keys: []string{"k"}})
	if err := h.Release(t.Context()); !errors.Is(err, lockutil.ErrLost) {
		t.Errorf("release of a lost lock: %v", err)
	}
	if next.Number("k") <= h.Number("k") {
		t.Errorf("number %d after %d, when Redis had lost its memory", next.Number("k"), h.Number("k"))
	}
	if _, err := l.Lock(t.Context(), lockutil.Request{Keys: []string{"k"}}); !errors.Is(err, lockutil.ErrHeld) {
		t.Error("the old holder released the new one's lock")
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"acquire acquired", "renew lost", "acquire acquired", "release lost", "acquire held by others"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}

func TestNumbersStayAboveWhatTheDatabaseHasSeenAndAServerRestart(t *testing.T) {
	server := testenv.Redis(t)
	last := int64(8e15) // far ahead of any clock
	l := locker(t, server, lockutil.Config{Floor: func(context.Context) (int64, error) { return last, nil }})
	for i := range 5 {
		h := take(t, l, lockutil.Request{Keys: []string{fmt.Sprint("k", i)}})
		n := h.Number(fmt.Sprint("k", i))
		if n <= last {
			t.Fatalf("number %d after the database has seen %d", n, last)
		}
		last = n
		if i == 2 {
			server.Restart() // without persistence: all is lost
		}
	}
	if err := l.Raise(t.Context(), last+1000); err != nil {
		t.Fatal(err)
	}
	if n := take(t, l, lockutil.Request{Keys: []string{"x"}}).Number("x"); n <= last+1000 {
		t.Errorf("number %d after the counter was raised to %d", n, last+1000)
	}
}

func TestALockIsListedAndBroken(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{TTL: 300 * time.Millisecond, Owner: "me"})
	h := take(t, l, lockutil.Request{Keys: []string{"k"}, Note: "task 1"})
	list, err := l.List(t.Context())
	if err != nil || len(list) != 1 || len(list[0].Holders) != 1 {
		t.Fatalf("list: %+v, %v", list, err)
	}
	holder := list[0].Holders[0]
	if holder.Owner != "me" || holder.Note != "task 1" || holder.Mode != "exclusive" || holder.Number != h.Number("k") {
		t.Errorf("holder %+v", holder)
	}
	if broken, err := l.Break(t.Context(), "k"); err != nil || len(broken) != 1 {
		t.Errorf("break: %+v, %v", broken, err)
	}
	<-h.Context().Done()
	if !errors.Is(h.Err(), lockutil.ErrLost) {
		t.Errorf("the holder of a broken lock: %v", h.Err())
	}
	_ = h.Release(t.Context())
	if list, err := l.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("list afterwards: %+v, %v", list, err)
	}
}

func TestAWaitEndsWithItsContextAndLeavesTheLine(t *testing.T) {
	l := locker(t, testenv.Redis(t), lockutil.Config{})
	first := take(t, l, lockutil.Request{Keys: []string{"k"}})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := l.Lock(ctx, lockutil.Request{Keys: []string{"k"}, Wait: time.Minute})
		ended <- err
	}()
	testenv.Eventually(t, 5*time.Second, "it waits", func() bool { return waiting(t, l, "k") == 1 })
	why := errors.New("why")
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Errorf("the wait ended with %v", err)
	}
	_ = first.Release(t.Context())
	take(t, l, lockutil.Request{Keys: []string{"k"}})
}
