package peers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/testenv"
)

// shape is which message Celery is asked to write.
type shape struct {
	task    string
	ignored bool
	fill    int // length of a second argument
	parked  bool
}

// What stands in a captured message for the task's number and id. The number keeps its ten places in every copy: JSON allows blanks before it.
const (
	sampleNumber = 1234567890
	sampleID     = "00000000-0000-4000-8000-000000000000"
)

// template makes copies of a message that Celery 5.7.0 has written, each with an id and a number of its own.
type template struct {
	pieces [][]byte // an id, a number or the body comes after each but the last
	kinds  []byte
	body   []byte
}

// capture lets Celery send one message and takes it from the queue.
func (s *site) capture(b *testing.B, shape shape) *template {
	b.Helper()
	if t, ok := s.templates[shape]; ok {
		return t
	}
	server := testenv.Redis(b)
	defer server.Kill()
	ask, err := json.Marshal(map[string]any{
		"task": shape.task, "ignored": shape.ignored, "fill": shape.fill, "parked": shape.parked, "number": sampleNumber, "id": sampleID,
	})
	if err != nil {
		b.Fatal(err)
	}
	s.python.Run(s.testdata, []string{"BROKER=" + server.URL(), "QUICKSTART=" + s.quickstart, "RECORD=" + os.DevNull}, string(ask), "capture.py")
	message, err := redis.Bytes(server.Do("LPOP", queue), nil)
	if err != nil {
		b.Fatalf("capture a message: %v", err)
	}
	t, err := parseTemplate(message)
	if err != nil {
		b.Fatalf("%v: %s", err, message)
	}
	s.templates[shape] = t
	return t
}

func parseTemplate(message []byte) (*template, error) {
	var envelope struct {
		Body []byte `json:"body"` // base64
	}
	if err := json.Unmarshal(message, &envelope); err != nil {
		return nil, fmt.Errorf("read the captured message: %w", err)
	}
	number := []byte(fmt.Sprint(sampleNumber))
	if bytes.Count(envelope.Body, number) != 1 {
		return nil, fmt.Errorf("the number is not in the body %s", envelope.Body)
	}
	t := &template{body: envelope.Body}
	encoded := base64.StdEncoding.EncodeToString(envelope.Body)
	marks := map[byte][]byte{'i': []byte(sampleID), 'n': number, 'b': []byte(encoded)}
	for {
		at, kind := -1, byte(0)
		for k, mark := range marks {
			if i := bytes.Index(message, mark); i >= 0 && (at < 0 || i < at) {
				at, kind = i, k
			}
		}
		if at < 0 {
			t.pieces = append(t.pieces, message)
			return t, nil
		}
		t.pieces, t.kinds = append(t.pieces, message[:at]), append(t.kinds, kind)
		message = message[at+len(marks[kind]):]
	}
}

// message is the copy for task i.
func (t *template) message(i int) []byte {
	number := fmt.Appendf(nil, "%10d", i)
	at := bytes.Index(t.body, []byte(fmt.Sprint(sampleNumber)))
	body := append(append(append(make([]byte, 0, len(t.body)), t.body[:at]...), number...), t.body[at+len(number):]...)
	id := taskID(i)
	message := make([]byte, 0, 1200+2*len(body))
	for n, piece := range t.pieces {
		message = append(message, piece...)
		if n == len(t.kinds) {
			break
		}
		switch t.kinds[n] {
		case 'i':
			message = append(message, id...)
		case 'n':
			message = append(message, number...)
		case 'b':
			message = base64.StdEncoding.AppendEncode(message, body)
		}
	}
	return message
}

// taskID is the id of task i.
func taskID(i int) string { return fmt.Sprintf("%s%012x", sampleID[:24], i+1) }
