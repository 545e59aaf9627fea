package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
)

// TestRestart: Redis (every write on disk) is restarted again and again under load.
func TestRestart(t *testing.T) {
	f := newField(t, "--appendonly", "yes", "--appendfsync", "always")
	f.send(works("r", sized(60_000, 3_000), 4)...)
	f.fleet(4, f.options())
	restarts := 0
	for range sized(10, 3) {
		before := f.ledger.Int("LLEN", "runs")
		testenv.Eventually(t, time.Minute, "the fleet works", func() bool { return f.settled() || f.ledger.Int("LLEN", "runs") > before+sized(5_000, 500) })
		f.server.Restart()
		restarts++
	}
	f.awaitSettled(2 * time.Minute)
	f.verdict(fmt.Sprintf("%d restarts", restarts))
}

// TestProxy: a proxy between workers and Redis cuts, delays, half-closes and truncates, and swallows the answers of claims and settles.
func TestProxy(t *testing.T) {
	f := newField(t)
	p := startProxy(t, f.server.Addr())
	p.swallowing.Store(20)
	o := f.options()
	o.Broker = p.url()
	o.Lease = sized(15*time.Second, 6*time.Second)
	f.fleet(3, o)
	deadline := time.Now().Add(sized(10*time.Minute, 8*time.Second))
	for n := 0; time.Now().Before(deadline); n++ {
		if f.server.Int("LLEN", "celery") < 1_000 {
			f.send(works(fmt.Sprint("x", n, "-"), 1_000, 2)...)
		}
		p.torment()
		<-time.After(50 * time.Millisecond) // the fault's rhythm
	}
	p.swallowing.Store(0)
	f.awaitSettled(2 * time.Minute)
	fenced := f.excuse()
	c := &p.counts
	if c.swallowed.Load() < 5 {
		t.Errorf("only %d answers were swallowed", c.swallowed.Load())
	}
	f.verdict(fmt.Sprintf("%d connections cut, %d delayed, %d half-closed, %d truncated, %d answers of claims and settles swallowed, %d leases lost",
		c.cut.Load(), c.delayed.Load(), c.halfClosed.Load(), c.truncated.Load(), c.swallowed.Load(), fenced))
}

// TestLostAnswers: nothing but swallowed answers, one in three: the claims that nobody heard of are found, the settles sent again are carried out once.
func TestLostAnswers(t *testing.T) {
	f := newField(t)
	p := startProxy(t, f.server.Addr())
	o := f.options()
	o.Broker = p.url()
	f.fleet(2, o)
	p.swallowing.Store(333)
	for n := range sized(100, 5) {
		f.send(works(fmt.Sprint("l", n, "-"), 100, 1)...)
		testenv.Eventually(t, time.Minute, "they have run", func() bool { return f.server.Int("LLEN", "celery") == 0 })
	}
	f.awaitSettled(2 * time.Minute)
	swallowed := p.counts.swallowed.Load()
	p.swallowing.Store(0)
	if swallowed < int64(sized(100, 5)) {
		t.Errorf("only %d answers were swallowed", swallowed)
	}
	fenced := f.excuse()
	f.verdict(fmt.Sprintf("%d answers of claims and settles swallowed, %d leases lost", swallowed, fenced))
}

// TestSentinel: the primary is killed under load, a replica is promoted. Lost may be only what the replica had not got.
func TestSentinel(t *testing.T) {
	f := newField(t)
	replica := testenv.Redis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(f.server.Port()))
	sentinel := testenv.Sentinel(t, f.server)
	testenv.Eventually(t, 30*time.Second, "the replica is in step, and the Sentinel knows it", func() bool {
		info, err := redis.String(f.server.Do("INFO", "replication"), nil)
		return err == nil && strings.Contains(info, "state=online") && sentinelKnowsReplica(sentinel)
	})
	url := fmt.Sprintf("sentinel://%s/0?master_name=primary", sentinel)
	o := f.options()
	o.Broker = url
	f.fleet(3, o)
	c, err := client.New(client.Config{BrokerURL: url, ResultBackend: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	sentAt := map[string]time.Time{}
	stop, cancel := context.WithCancel(context.Background())
	var producing sync.WaitGroup
	producing.Go(func() { f.produce(stop, c, sentAt) })
	<-time.After(sized(10*time.Second, 2*time.Second)) // load
	killed := time.Now()
	f.server.Kill()
	testenv.Eventually(t, time.Minute, "the replica is promoted", func() bool {
		info, err := redis.String(replica.Do("INFO", "replication"), nil)
		return err == nil && strings.Contains(info, "role:master")
	})
	took := time.Since(killed)
	<-time.After(sized(10*time.Second, 2*time.Second))
	cancel()
	producing.Wait()
	f.server = replica
	f.awaitSettled(2 * time.Minute)
	fenced := f.excuse()
	result := f.count()
	t.Logf("sent %d, ran once %d, ran twice or more %d, lost %d, settled twice %d; the replica was promoted after %.1f s, %d leases lost",
		result.sent, result.once, result.twice, result.lost, result.doubled, took.Seconds(), fenced)
	for _, id := range result.lostIDs {
		if before := killed.Sub(sentAt[id]); before < 0 || before > time.Second {
			t.Errorf("%s was sent %s before the primary was killed, and is lost: the replica should have had it", id, before)
		}
	}
	f.noOrphans()
}

func sentinelKnowsReplica(address string) bool {
	conn, err := redis.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	replicas, err := redis.Values(conn.Do("SENTINEL", "replicas", "primary"))
	return err == nil && len(replicas) == 1
}

// produce sends tasks one after the other until ctx ends. Only those whose send was confirmed count.
func (f *field) produce(ctx context.Context, c *client.Client, sentAt map[string]time.Time) {
	for n := 0; ctx.Err() == nil; n++ {
		w := work{ID: fmt.Sprint("s", n), Millis: 1}
		at := time.Now()
		_, err := c.Send(ctx, client.Task{ID: w.ID, Name: "chaos.work", Kwargs: map[string]any{"id": w.ID, "millis": w.Millis}})
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				<-time.After(50 * time.Millisecond)
			}
			continue
		}
		sentAt[w.ID] = at
		f.note(w)
	}
}
