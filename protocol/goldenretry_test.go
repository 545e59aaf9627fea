package protocol

import (
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

// TestRetriesAreWrittenAsCeleryWritesThem: the golden files have two tasks as they were sent, and as a Python worker sent them again. Celery 5.7.0 is the
// measure: 5.2.7 forgets ignore_result and fails on expires, 4.4.7 forgets the shadow name.
func TestRetriesAreWrittenAsCeleryWritesThem(t *testing.T) {
	first, again := map[string]golden{}, map[string]golden{}
	for _, record := range readGolden(t, testenv.Celery57) {
		id, _ := record.Expected["id"].(string)
		if record.file != "messages" || (id != "worker/retry" && id != "worker/retry-child") {
			continue
		}
		if record.Expected["retries"] == nil {
			first[id] = record
		} else {
			again[id] = record
		}
	}
	if len(first) != 2 || len(again) != 2 {
		t.Fatalf("%d tasks to retry, %d retries", len(first), len(again))
	}
	for id, record := range first {
		if diff, message := retryDifferences(t, record, again[id]); diff != "" {
			t.Errorf("%s: %s\n got %s\nwant %s", id, diff, message, again[id].Raw)
		}
	}
}

// retryDifferences compares our retry of a task with Celery's.
func retryDifferences(t *testing.T, first, again golden) (string, []byte) {
	t.Helper()
	task, err := ParseTask([]byte(first.Raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	retried, err := ParseTask([]byte(again.Raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	message, err := task.RetryMessage(RetryOptions{Retries: 1, ETA: retried.ETA.Time, DeliveryTag: "t"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := taskMeaning(message)
	if err != nil {
		t.Fatal(err)
	}
	want := again.Expected
	if got["ignore_result"] == nil {
		delete(want, "ignore_result") // Celery writes the task's own option: we leave it to the worker that runs it, which has the same
	}
	delete(got, "headers") // their order
	delete(want, "headers")
	return differences(got, want), message
}
