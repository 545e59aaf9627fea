package worker

import (
	"testing"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

func TestAdmit(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) protocol.Time { return protocol.Time{Time: now.Add(d)} }
	for name, row := range map[string]struct {
		task  protocol.Task
		known bool
		want  verdict
	}{
		"a plain task":                       {protocol.Task{}, true, run},
		"an unknown task":                    {protocol.Task{}, false, unregistered},
		"an unknown task that has expired":   {protocol.Task{Expires: at(-1)}, false, unregistered},
		"an expired task":                    {protocol.Task{Expires: at(-1)}, true, expired},
		"expires now":                        {protocol.Task{Expires: at(0)}, true, run},
		"an eta ahead":                       {protocol.Task{ETA: at(time.Second)}, true, park},
		"an eta that has come":               {protocol.Task{ETA: at(0)}, true, run},
		"expired before its eta":             {protocol.Task{ETA: at(time.Second), Expires: at(-1)}, true, expired},
		"delivered often, but not too often": {protocol.Task{Deliveries: 4}, true, run},
		"a task with a callback":             {protocol.Task{Callbacks: []protocol.Raw{protocol.Raw("{}")}}, true, run},
		"a member of a chord":                {protocol.Task{Chord: protocol.Raw("{}")}, true, run},
		"a chord that is null":               {protocol.Task{Chord: protocol.Raw("null")}, true, run},
		"delivered too often":                {protocol.Task{Deliveries: 5}, true, poisoned},
	} {
		if got := admit(&row.task, row.known, now, 5); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, row := range []struct {
		concurrency, prefetch int
		average               time.Duration
		want                  int
	}{
		{4, 2000, 0, 4},                      // nothing known yet: a message per free runner
		{4, 2000, time.Hour, 4},              // slow handlers: nothing ahead
		{4, 2000, 10 * time.Millisecond, 24}, // 50 ms of work for each runner ahead
		{4, 2000, time.Microsecond, 2004},    // bounded by prefetch
		{4, 0, time.Microsecond, 4},          // no prefetch at all
	} {
		if got := target(row.concurrency, row.prefetch, row.average); got != row.want {
			t.Errorf("target(%d, %d, %s) is %d, want %d", row.concurrency, row.prefetch, row.average, got, row.want)
		}
	}
}

func TestAClaimIsBoundedByCountAndBytes(t *testing.T) {
	for name, row := range map[string]struct {
		want    int
		average int64
		claim   int
	}{
		"few are wanted":                {3, 1000, 3},
		"nothing is known of the size":  {2000, 0, claimMost},
		"small messages":                {2000, 1000, claimMost},
		"large messages":                {2000, claimBytes / 10, 10},
		"one is always taken":           {2000, 10 * claimBytes, 1},
		"few large messages are wanted": {2, claimBytes / 10, 2},
		"nothing is wanted":             {0, 1000, 0},
	} {
		if got := atOnce(row.want, row.average); got != row.claim {
			t.Errorf("%s: %d at once, not %d", name, got, row.claim)
		}
	}
}

func TestDeliveriesCountWhatWasStartedAndTheFirstTime(t *testing.T) {
	message := []byte(`{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"task": "t", "id": "i", "big": 123456789012345678901234567890}, "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "body_encoding": "base64"}}`)
	for i, step := range []struct {
		started bool
		want    int
	}{{false, 1}, {false, 1}, {true, 2}, {false, 2}, {true, 3}} {
		message = redeliver(message, step.started)
		task, err := protocol.ParseTask(message, protocol.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if task.Deliveries != step.want || !task.Redelivered {
			t.Errorf("after step %d: %d deliveries, redelivered %t, in\n%s", i, task.Deliveries, task.Redelivered, message)
		}
		if big, _ := task.Headers().Get("big"); string(big) != "123456789012345678901234567890" {
			t.Errorf("digits were lost: %s", big)
		}
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	for failures := 1; failures < 100; failures++ {
		if d := backoff(failures); d < 25*time.Millisecond || d > 3*time.Second {
			t.Errorf("after %d failures it waits %s", failures, d)
		}
	}
}
