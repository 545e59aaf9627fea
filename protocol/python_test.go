package protocol

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/lovage-go/lovage/internal/testenv"
)

// python is a real Python with Celery in it, asked over a pipe (testdata/oracle.py).
type python struct {
	t     testing.TB
	in    io.WriteCloser
	lines *bufio.Reader
}

// answer is Python's word on one case.
type answer struct {
	OK    string `json:"ok"`
	Error string `json:"error"`
}

// startPython starts the interpreter that has the given version of Celery.
func startPython(t testing.TB, version string) *python {
	t.Helper()
	cmd := testenv.Python(t, version).Command(context.Background(), ".", nil, "python", "testdata/oracle.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python ended with %v", err)
		}
	})
	return &python{t: t, in: in, lines: bufio.NewReaderSize(out, 1<<20)}
}

// ask gives Python's answers to all cases, in their order.
func ask[C any](p *python, op string, cases []C) []answer {
	p.t.Helper()
	request, err := json.Marshal(map[string]any{"op": op, "cases": cases})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		p.t.Fatalf("ask python: %v", err)
	}
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("read python's answer: %v", err)
	}
	var answers []answer
	if err := json.Unmarshal(line, &answers); err != nil {
		p.t.Fatal(err)
	}
	if len(answers) != len(cases) {
		p.t.Fatalf("%d answers to %d cases", len(answers), len(cases))
	}
	return answers
}

func toBase64[B ~[]byte | ~string](data B) string {
	return base64.StdEncoding.EncodeToString([]byte(data))
}

func (a answer) bytes(t testing.TB) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(a.OK)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
