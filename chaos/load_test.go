package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/internal/testenv/malformed"
)

// TestParked: tasks with random due times. Parked, they cost the worker nothing; they start when due; the workers are killed at half time.
func TestParked(t *testing.T) {
	f := newField(t)
	o := f.options()
	o.KeepResults = time.Minute
	fleet, _ := f.fleet(2, o)
	f.send(works("warm", 2_000, 0)...)
	f.awaitSettled(time.Minute)
	before := fleet[0].RSS()

	count := sized(1_000_000, 6_000)
	first, span := sized(150.0, 5.0), sized(300.0, 6.0)
	began := time.Now()
	due := func() float64 { return float64(began.UnixMicro())/1e6 + first + span*rand.Float64() }
	batch := make([]work, 0, 10_000)
	for n := range count {
		batch = append(batch, work{ID: fmt.Sprint("e", n), Due: due()})
		if len(batch) == cap(batch) || n == count-1 {
			f.send(batch...)
			batch = batch[:0]
		}
	}
	testenv.Eventually(t, time.Duration(first)*time.Second, "all are parked", func() bool { return f.server.Int("ZCARD", "lovage:parked:celery") == count })
	parked := time.Since(began)
	grown := fleet[0].RSS() - before
	half := began.Add(time.Duration((first + span/2) * float64(time.Second)))
	testenv.Eventually(t, 20*time.Minute, "half of the time is over", func() bool { return time.Now().After(half) })
	for _, p := range fleet {
		f.harm(p)
		p.Kill()
	}
	f.fleet(2, o)
	f.awaitSettled(10 * time.Minute)
	result := f.verdict(fmt.Sprintf("%d parked in %.0f s, the worker grew by %.1f MB; 2 kills", count, parked.Seconds(), float64(grown)/1e6))
	t.Logf("lateness: p50 %.1f ms, p99 %.1f ms, most %.0f ms (those that the killed workers held wait for the lease)",
		1e3*percentile(result.lateness, 50), 1e3*percentile(result.lateness, 99), 1e3*percentile(result.lateness, 100))
	for _, late := range result.lateness {
		if late < 0 {
			t.Fatalf("a task started %.3f s too early", -late)
		}
	}
	if *full && grown > 5e6 {
		t.Errorf("the worker grew by %d bytes", grown)
	}
}

// TestMalformed: hundreds of malformed messages among good ones. The good ones run, the bad ones are in the dead letters, and the worker stays small.
func TestMalformed(t *testing.T) {
	f := newField(t)
	p := f.start(f.options())
	bad := malformed.Messages(t, work{ID: "pattern", Millis: 1}.message(t))
	if len(bad) < 300 {
		t.Errorf("only %d malformed messages", len(bad))
	}
	rounds := sized(10, 1)
	most := int64(0)
	for round := range rounds {
		for n, message := range bad {
			f.server.Do("LPUSH", "celery", message)
			f.send(work{ID: fmt.Sprint("good", round, "-", n), Millis: 1})
			if n%20 == 0 {
				most = max(most, p.RSS())
			}
		}
		f.awaitSettled(2 * time.Minute)
		most = max(most, p.RSS())
	}
	buried := f.server.Int("ZCARD", "lovage:deadletter")
	f.verdict(fmt.Sprintf("%d malformed among them, %d in the dead letters, the worker's RSS at most %.0f MB", rounds*len(bad), buried, float64(most)/1e6))
	if buried != rounds*len(bad) {
		t.Errorf("%d of %d malformed messages are in the dead letters", buried, rounds*len(bad))
	}
	// 64 MiB of claims and 64 MiB of one inflated body are allowed, and twice that for what is garbage by then.
	if most > 300e6 {
		t.Errorf("the worker's RSS was %d", most)
	}
}

// sizes are a process's reports about itself, one a second.
func (f *field) sizes(pid int) (memory, goroutines, descriptors []float64) {
	for _, line := range f.ledger.Strings("LRANGE", fmt.Sprint("size:", pid), 0, -1) {
		parts := strings.Fields(line)
		for i, list := range []*[]float64{&memory, &goroutines, &descriptors} {
			value, _ := strconv.ParseFloat(parts[i], 64)
			*list = append(*list, value)
		}
	}
	return memory, goroutines, descriptors
}

// thirds compares the median of the last third with that of the first.
func thirds(values []float64) (first, last float64) {
	third := len(values) / 3
	return percentile(values[:third], 50), percentile(values[2*third:], 50)
}

// TestSoak: half of full load with kills and restarts; what one worker that is left alone, and Redis, use stays flat.
func TestSoak(t *testing.T) {
	f := newField(t, "--appendonly", "yes", "--appendfsync", "everysec", "--no-appendfsync-on-rewrite", "yes")
	o := f.options()
	o.KeepResults = sized(30*time.Second, 2*time.Second)
	witness := f.start(o)
	fleet, starters := f.fleet(2, o)

	// Full load is what the fleet does when the queue is never empty.
	calibrate := sized(200_000, 20_000)
	began := time.Now()
	f.send(works("full", calibrate, 0)...)
	f.awaitSettled(5 * time.Minute)
	rate := float64(calibrate) / time.Since(began).Seconds() / 2

	var redisMemory []float64
	duration := sized(30*time.Minute, 15*time.Second)
	began = time.Now()
	kills, restarts, sent := 0, 0, 0
	for second := 0; time.Since(began) < duration; second++ {
		if due := int(rate*time.Since(began).Seconds()) - sent; due > 0 {
			f.send(works(fmt.Sprint("s", second, "-"), due, 0)...)
			sent += due
		}
		if second%sized(30, 4) == 3 {
			n := rand.IntN(len(fleet))
			f.harm(fleet[n])
			fleet[n].Kill()
			kills++
			fleet[n] = starters[n]()
		}
		if second%sized(300, 10) == sized(150, 6) {
			f.server.Restart()
			restarts++
		}
		redisMemory = append(redisMemory, f.usedMemory())
		<-time.After(time.Until(began.Add(time.Duration(second+1) * time.Second)))
	}
	f.awaitSettled(5 * time.Minute)
	f.excuse()
	memory, goroutines, descriptors := f.sizes(witness.PID())
	f.verdict(fmt.Sprintf("%.0f tasks/s, %d kills, %d restarts", rate, kills, restarts))
	for _, flat := range []struct {
		what   string
		values []float64
		unit   float64
		slack  float64 // allowed growth, beside a tenth
	}{
		{"worker RSS, MB", memory, 1e6, sized(3e6, 15e6)}, {"goroutines", goroutines, 1, 5}, {"open files", descriptors, 1, 5}, {"Redis memory, MB", redisMemory, 1e6, sized(5e6, 30e6)},
	} {
		first, last := thirds(flat.values)
		t.Logf("%s: first third %.1f, last third %.1f", flat.what, first/flat.unit, last/flat.unit)
		if last > first*1.1+flat.slack {
			t.Errorf("%s grew from %.0f to %.0f", flat.what, first, last)
		}
	}
}

func (f *field) usedMemory() float64 {
	info := string(f.server.Do("INFO", "memory").([]byte))
	_, after, _ := strings.Cut(info, "used_memory:")
	value, _, _ := strings.Cut(after, "\r")
	n, _ := strconv.ParseFloat(value, 64)
	return n
}
