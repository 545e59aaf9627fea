package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

func TestDecideRetry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	broken := errors.New("broken")
	auto := tasks.RetryPolicy{AutoretryFor: func(err error) bool { return errors.Is(err, broken) }, RetryBackoff: time.Second, NoJitter: true}
	none := 0
	for name, row := range map[string]struct {
		policy  tasks.RetryPolicy
		retries int
		err     error
		again   bool
		after   time.Duration
		raises  string
	}{
		"a failure":                      {tasks.RetryPolicy{}, 0, broken, false, 0, "broken"},
		"asked for":                      {tasks.RetryPolicy{}, 0, tasks.Retry(broken), true, 180 * time.Second, "broken"},
		"asked for with a pause":         {tasks.RetryPolicy{}, 2, tasks.RetryIn(time.Minute, broken), true, time.Minute, "broken"},
		"asked for at a time":            {tasks.RetryPolicy{}, 0, tasks.RetryAt(now.Add(time.Hour), broken), true, time.Hour, "broken"},
		"asked for at once":              {tasks.RetryPolicy{}, 0, tasks.RetryIn(0, broken), true, 0, "broken"},
		"asked for too often":            {tasks.RetryPolicy{}, 3, tasks.Retry(broken), false, 0, "broken"},
		"asked for too often, no reason": {tasks.RetryPolicy{}, 3, tasks.Retry(nil), false, 0, "MaxRetriesExceededError: Can't retry t[i] args:(1,) kwargs:{}"},
		"without end":                    {tasks.RetryPolicy{MaxRetries: new(-1)}, 1000, tasks.RetryIn(0, broken), true, 0, "broken"},
		"the wish forbids it":            {tasks.RetryPolicy{}, 0, &tasks.Retrying{Err: broken, MaxRetries: &none}, false, 0, "broken"},
		"by itself":                      {auto, 0, broken, true, time.Second, "broken"},
		"by itself, later":               {auto, 2, broken, true, 4 * time.Second, "broken"},
		"by itself, another error":       {auto, 0, errors.New("other"), false, 0, "other"},
		"by itself, an excepted error":   {tasks.RetryPolicy{AutoretryFor: auto.AutoretryFor, DontAutoretryFor: auto.AutoretryFor}, 0, broken, false, 0, "broken"},
		"by itself, too often":           {auto, 3, broken, false, 0, "broken"},
	} {
		task := &protocol.Task{ID: "i", Name: "t", Retries: row.retries, Args: []protocol.Raw{protocol.Raw("1")}}
		a := decideRetry(task, row.policy, row.err, now, func(n int64) int64 { return n - 1 })
		want := time.Time{}
		if row.again && row.after > 0 {
			want = now.Add(row.after)
		}
		if a.again != row.again || !a.eta.Equal(want) || a.err == nil || a.err.Error() != row.raises {
			t.Errorf("%s: again %t at %s with %v", name, a.again, a.eta, a.err)
		}
	}
}
