package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// report gathers the tables, and writes them as Markdown and as a picture.
type report struct {
	folder, head string
	tables       []*table
	began        time.Time
}

type table struct {
	title, note string
	columns     []string
	rows        [][]string
	// unit, labels and values make the picture; no unit, no picture.
	unit   string
	labels []string
	values []float64
}

func newReport(b *testing.B) *report {
	b.Helper()
	r := &report{folder: filepath.Join(testenv.Root(b), "artifacts"), began: time.Now()}
	if err := os.MkdirAll(r.folder, 0o755); err != nil {
		b.Fatal(err)
	}
	r.head = fmt.Sprintf("# Lovage side by side\n\n%s, %s. %s.\n\nRedis without persistence, PostgreSQL with its defaults, everything on this machine.\n",
		r.began.UTC().Format("2006-01-02 15:04 MST"), machine(), strings.Join(versions(b), ", "))
	return r
}

func machine() string {
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d cores of %s, load average before %s", runtime.NumCPU(), model, strings.Join(strings.Fields(string(load))[:3], " "))
}

// versions asks the programs and this module.
func versions(b *testing.B) []string {
	b.Helper()
	out := []string{"Go " + strings.TrimPrefix(runtime.Version(), "go"), "Celery " + testenv.Celery57}
	if text, err := exec.Command("redis-server", "--version").Output(); err == nil {
		for _, word := range strings.Fields(string(text)) {
			if version, ok := strings.CutPrefix(word, "v="); ok {
				out = append(out, "Redis "+version)
			}
		}
	}
	python := testenv.Python(b, testenv.Celery57)
	out = append(out, "Python "+strings.TrimSpace(python.Run(".", nil, "", "-c", "import platform; print(platform.python_version())")))
	for _, module := range []string{"github.com/hibiken/asynq", "github.com/RichardKnop/machinery/v2", "github.com/riverqueue/river", "github.com/gomodule/redigo"} {
		version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module).Output()
		if err != nil {
			b.Fatalf("version of %s: %v", module, err)
		}
		out = append(out, filepath.Base(strings.TrimSuffix(module, "/v2"))+" "+strings.TrimSpace(string(version)))
	}
	return out
}

func (r *report) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.0fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *report) table(title, note string, columns ...string) *table {
	t := &table{title: title, note: note, columns: columns}
	r.tables = append(r.tables, t)
	return t
}

// row adds a row; its value goes into the picture.
func (t *table) row(label string, value float64, cells ...string) {
	t.labels, t.values = append(t.labels, label), append(t.values, value)
	t.rows = append(t.rows, append([]string{label}, cells...))
}

func (t *table) markdown(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n## %s\n\n%s\n\n", t.title, t.note)
	widths := make([]int, len(t.columns))
	lines := append([][]string{t.columns, make([]string, len(t.columns))}, t.rows...)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, line := range lines {
		for i, cell := range line {
			fill := " "
			if n == 1 {
				fill = "-"
			}
			fmt.Fprintf(out, "| %s%s ", cell, strings.Repeat(fill, widths[i]-len([]rune(cell))))
		}
		out.WriteString("|\n")
	}
}

// write prints the tables and leaves them in artifacts/bench.md and bench.png. A benchmark that failed leaves none.
func (r *report) write(b *testing.B) {
	b.Helper()
	if b.Failed() || len(r.tables) == 0 {
		return
	}
	var out bytes.Buffer
	out.WriteString(r.head)
	for _, t := range r.tables {
		t.markdown(&out)
	}
	fmt.Fprintf(&out, "\nMedians of the rounds; the whole took %s.\n", time.Since(r.began).Round(time.Second))
	fmt.Println(out.String())
	if err := os.WriteFile(filepath.Join(r.folder, "bench.md"), out.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
	if bars := panels(r.tables); len(bars) > 0 {
		if err := picture(filepath.Join(r.folder, "bench.png"), bars); err != nil {
			b.Fatal(err)
		}
	}
}

func thousands(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func millis(v float64) string { return fmt.Sprintf("%.3f", v) }

func times(v float64) string { return fmt.Sprintf("%.2fx", v) }

func list(values []float64, format func(float64) string) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, format(v))
	}
	return strings.Join(texts, " ")
}
