package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/internal/testenv"
)

// usage is what a process and its children have used.
type usage struct {
	cpu float64 // seconds
	rss int64   // bytes, all processes together
}

// usageOf reads /proc. testenv starts each process as the leader of a process group.
func usageOf(b *testing.B, p *testenv.Process) usage {
	b.Helper()
	var u usage
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if fields[2] != strconv.Itoa(p.PID()) {
			continue
		}
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		u.rss += pages * int64(os.Getpagesize())
		// schedstat counts in nanoseconds, stat in hundredths of a second.
		threads, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "task/*/schedstat"))
		for _, thread := range threads {
			var nanoseconds float64
			if text, err := os.ReadFile(thread); err == nil {
				_, _ = fmt.Sscan(string(text), &nanoseconds)
			}
			u.cpu += nanoseconds / 1e9
		}
	}
	return u
}

// load is what Redis has done since resetLoad: commands (those inside scripts too) and seconds of CPU.
type load struct{ commands, cpu float64 }

func (s *stage) resetLoad() (cpu float64) {
	s.b.Helper()
	s.do("CONFIG", "RESETSTAT")
	return s.redisCPU()
}

func (s *stage) loadSince(cpu float64) load {
	s.b.Helper()
	l := load{cpu: s.redisCPU() - cpu}
	text, err := redis.String(s.do("INFO", "commandstats"), nil)
	if err != nil {
		s.b.Fatal(err)
	}
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !found || name == "info" || strings.HasPrefix(name, "config") {
			continue // the benchmark's own
		}
		calls, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.ParseFloat(calls, 64)
		l.commands += n
	}
	return l
}

func (s *stage) redisCPU() float64 {
	s.b.Helper()
	text, err := redis.String(s.do("INFO", "cpu"), nil)
	if err != nil {
		s.b.Fatal(err)
	}
	total := 0.0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			n, _ := strconv.ParseFloat(value, 64)
			total += n
		}
	}
	return total
}
