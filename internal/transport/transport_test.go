package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"

	"github.com/lovage-go/lovage/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, server *testenv.RedisServer, options Options, id string) (*Broker, *Session) {
	t.Helper()
	options.URL = server.URL()
	b, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s, err := b.Open(t.Context(), id, []string{"q"})
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func claim(t *testing.T, s *Session, most int) []Claim {
	t.Helper()
	claims, err := s.Claim(t.Context(), []string{"q"}, most, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestAClaimIsInUnackedInKombusForm(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	server.Do("LPUSH", "q", `{"n": 1}`, `{"n": 2}`)
	claims := claim(t, s, 10)
	if len(claims) != 2 || string(claims[0].Message) != `{"n": 1}` || claims[0].Seq+1 != claims[1].Seq || claims[0].Queue != "q" {
		t.Fatalf("claimed %+v", claims)
	}
	if got := server.Strings("HMGET", "unacked", fmt.Sprintf("w/%d", claims[0].Seq)); got[0] != `[{"n": 1},"","q"]` {
		t.Errorf("unacked holds %q", got)
	}
	if n := server.Int("ZCARD", "unacked_index"); n != 2 {
		t.Errorf("the index holds %d", n)
	}
}

func TestABatchSentTwiceIsCarriedOutOnce(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	server.Do("LPUSH", "q", "a", "b", "c")
	claims := claim(t, s, 10)
	server.Do("HDEL", "unacked", s.tag(claims[1].Seq)) // somebody restored it
	batch := s.NewBatch([]Settlement{
		{Claim: claims[0], Mode: Ack, Effects: []Effect{Push("out", []byte("x")), StoreResult("res", []byte(`{"status": "SUCCESS"}`), time.Minute)}},
		{Claim: claims[1], Mode: Ack, Effects: []Effect{Push("out", []byte("y"))}},
		{Claim: claims[2], Mode: Ack},
	})
	for try := range 3 { // as if the answers had been lost
		refusal, err := s.Settle(t.Context(), batch)
		if err != nil || refusal.Acks != 0 || len(refusal.Seqs) != 1 || refusal.Seqs[0] != claims[1].Seq {
			t.Errorf("try %d: refused %+v, %v", try, refusal, err)
		}
	}
	if out := server.Strings("LRANGE", "out", 0, -1); len(out) != 1 || out[0] != "x" {
		t.Errorf("pushed %v", out)
	}
	if n := server.Int("HLEN", "unacked") + server.Int("ZCARD", "unacked_index") + server.Int("SCARD", "lovage:claims:w"); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func TestAFencedSessionCanNeitherClaimNorSettle(t *testing.T) {
	server := testenv.Redis(t)
	b, s := open(t, server, Options{}, "w")
	server.Do("LPUSH", "q", `{"body": "", "headers": {}, "properties": {}}`, `{"body": "", "headers": {}, "properties": {}}`)
	held := claim(t, s, 1)
	server.Do("ZADD", "lovage:workers", 1, "w")
	if fenced, err := b.Fence(t.Context(), "w"); err != nil || !fenced {
		t.Fatal(fenced, err)
	}
	if n, err := b.Recover(t.Context(), "w", func(m []byte, _ bool) []byte { return m }); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := s.Claim(t.Context(), []string{"q"}, 1, 1<<20); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a claim gives %v", err)
	}
	if err := s.Renew(t.Context()); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a renewal gives %v", err)
	}
	refusal, err := s.Settle(t.Context(), s.NewBatch([]Settlement{{Claim: held[0], Mode: Ack}}))
	if err != nil || refusal.Acks != 1 {
		t.Errorf("a settle gives %+v, %v", refusal, err)
	}
	if n := server.Int("LLEN", "q"); n != 2 {
		t.Errorf("%d of 2 messages are on the queue", n)
	}
	if _, err := b.Fence(t.Context(), "nobody"); err != nil {
		t.Error(err)
	}
}

func TestALeaseThatStandsIsNotFenced(t *testing.T) {
	server := testenv.Redis(t)
	b, s := open(t, server, Options{}, "w")
	if fenced, err := b.Fence(t.Context(), s.ID()); err != nil || fenced {
		t.Error(fenced, err)
	}
}

func TestClaimsStopAtTheByteBudgetAndKeepTheOrder(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	for n := range 40 {
		server.Do("LPUSH", "q", fmt.Sprintf("%02d%s", n, strings.Repeat("x", 998)))
	}
	var order []string
	for len(order) < 40 {
		claims, err := s.Claim(t.Context(), []string{"q"}, 100, 5500)
		if err != nil || len(claims) == 0 || len(claims) > 6 {
			t.Fatalf("claimed %d, %v", len(claims), err)
		}
		for _, c := range claims {
			order = append(order, string(c.Message[:2]))
		}
	}
	for n, got := range order {
		if got != fmt.Sprintf("%02d", n) {
			t.Fatalf("the order is %v", order)
		}
	}
}

func TestALargeMessageIsClaimedByItsTail(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{LargeMessage: 10_000}, "w")
	server.Do("LPUSH", "q", strings.Repeat("x", 20_000)+"end")
	claims := claim(t, s, 1)
	if len(claims) != 1 || !claims[0].Large() || claims[0].Size != 20_003 || !strings.HasSuffix(string(claims[0].Message), "end") || len(claims[0].Message) != 4096 {
		t.Errorf("claimed %d bytes of %d", len(claims[0].Message), claims[0].Size)
	}
	if _, err := s.Settle(t.Context(), s.NewBatch([]Settlement{{Claim: claims[0], Mode: Ack, Effects: []Effect{Bury("id", []byte("{}"), "q", time.Now())}}})); err != nil {
		t.Fatal(err)
	}
	if n := server.Int("HSTRLEN", "lovage:deadletter:message", "id"); n != 20_003 {
		t.Errorf("the dead letter has %d bytes", n)
	}
}

func TestWhatALostAnswerClaimedIsFound(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	server.Do("LPUSH", "q", "known", "lost")
	known := claim(t, s, 1)
	claim(t, s, 1) // as if the answer had not arrived
	server.Do("LPUSH", "lovage:inbox:w:q", "waited")
	found, err := s.Orphans(t.Context(), func(seq uint64) bool { return seq == known[0].Seq })
	if err != nil || len(found) != 1 || string(found[0].Message) != "lost" || found[0].Queue != "q" {
		t.Errorf("found %+v, %v", found, err)
	}
	inbox, err := s.ClaimInboxes(t.Context(), []string{"q"}, 1, 1<<20)
	if err != nil || len(inbox) != 1 || string(inbox[0].Message) != "waited" {
		t.Errorf("the inbox gave %+v, %v", inbox, err)
	}
}

func TestAWaitTakesTheMessageAndIsInterruptible(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	w := s.NewWaiter("q", 0)
	defer w.Close()
	got := make(chan []Claim)
	wait := func() {
		claims, err := w.Wait(context.Background(), 10*time.Second, 5, 1<<20)
		if err != nil {
			t.Error(err)
		}
		got <- claims
	}
	blocked := func() bool {
		return strings.Contains(string(server.Do("INFO", "clients").([]byte)), "blocked_clients:1")
	}
	go wait()
	testenv.Eventually(t, 5*time.Second, "it waits", blocked)
	server.Do("LPUSH", "q", "one", "two")
	if claims := <-got; len(claims) != 2 || string(claims[0].Message) != "one" {
		t.Errorf("the wait gave %+v", claims)
	}
	go wait()
	testenv.Eventually(t, 5*time.Second, "it waits again", blocked)
	w.Interrupt(t.Context())
	if claims := <-got; len(claims) != 0 {
		t.Errorf("an interrupted wait gave %+v", claims)
	}
	server.Do("SCRIPT", "FLUSH")
	server.Do("LPUSH", "q", "three")
	go wait()
	if claims := <-got; len(claims) != 1 {
		t.Errorf("without the script in the cache the wait gave %+v", claims)
	}
}

func TestAWaitThatBringsNothingLooksAtNothingElse(t *testing.T) {
	server := testenv.Redis(t)
	_, s := open(t, server, Options{}, "w")
	w := s.NewWaiter("q", 0)
	defer w.Close()
	wait := func() []Claim {
		claims, err := w.Wait(t.Context(), 20*time.Millisecond, 10, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	wait() // loads the script
	server.Do("CONFIG", "RESETSTAT")
	if claims := wait(); len(claims) != 0 {
		t.Fatalf("claimed %v from an empty queue", claims)
	}
	stats, err := redis.String(server.Do("INFO", "commandstats"), nil)
	if err != nil || !strings.Contains(stats, "cmdstat_rpop:calls=1,") {
		t.Errorf("%v: it looked at more than its inbox:\n%s", err, stats)
	}
	server.Do("LPUSH", "q\x06\x163", "urgent")
	server.Do("LPUSH", "q", "plain")
	if claims := wait(); len(claims) != 2 {
		t.Errorf("with a message there it claimed %v, not the other priority's as well", claims)
	}
}

func TestParkedMessagesAreTakenWhenDueInOrder(t *testing.T) {
	server := testenv.Redis(t)
	b, s := open(t, server, Options{}, "w")
	server.Do("LPUSH", "q", "later", "b", "a", "soon")
	claims := claim(t, s, 10)
	now := time.Now()
	due := map[string]time.Time{"later": now.Add(time.Hour), "b": now.Add(-time.Second), "a": now.Add(-2 * time.Second), "soon": now.Add(-3 * time.Second)}
	var entries []Settlement
	for _, c := range claims {
		entries = append(entries, Settlement{Claim: c, Mode: Ack, Effects: []Effect{b.Park("q", due[string(c.Message)])}})
	}
	if _, err := s.Settle(t.Context(), s.NewBatch(entries)); err != nil {
		t.Fatal(err)
	}
	if n := server.Int("HLEN", "unacked"); n != 4 || server.Int("SCARD", "lovage:claims:w") != 0 {
		t.Errorf("%d messages are in unacked", n)
	}
	_, other := open(t, server, Options{}, "v")
	taken, next, err := other.Due(t.Context(), "q", 10, 1<<20)
	if err != nil || len(taken) != 3 || string(taken[0].Message) != "soon" || string(taken[2].Message) != "b" {
		t.Errorf("taken %+v, %v", taken, err)
	}
	if d := time.Until(next); d < 59*time.Minute || d > time.Hour {
		t.Errorf("the next is due in %s", d)
	}
}

func TestWhatPythonAbandonedIsRestoredUnderItsMutex(t *testing.T) {
	server := testenv.Redis(t)
	b, _ := open(t, server, Options{VisibilityTimeout: time.Minute}, "w")
	message := `{"body": "", "headers": {}, "properties": {"priority": 3}}`
	server.Do("HSET", "unacked", "old", "["+message+`, "celery", "rk"]`, "young", "["+message+`, "", "q"]`)
	server.Do("ZADD", "unacked_index", 1, "old", time.Now().Unix(), "young")
	server.Do("SADD", "_kombu.binding.celery", "rk\x06\x16\x06\x16the-queue")
	server.Do("SET", "unacked_mutex", "somebody")
	edit := func(m []byte) []byte { return m }
	if n, err := b.RestoreAbandoned(t.Context(), edit); err != nil || n != 0 {
		t.Errorf("under another's mutex: %d, %v", n, err)
	}
	server.Do("DEL", "unacked_mutex")
	if n, err := b.RestoreAbandoned(t.Context(), edit); err != nil || n != 1 {
		t.Errorf("restored %d, %v", n, err)
	}
	if got := server.Strings("LRANGE", "the-queue\x06\x163", 0, -1); len(got) != 1 || got[0] != message {
		t.Errorf("the queue holds %q", got)
	}
	if server.Int("HLEN", "unacked") != 1 || server.Int("EXISTS", "unacked_mutex") != 0 {
		t.Errorf("keys: %v", server.Strings("KEYS", "*"))
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"redis://":                            "tcp [localhost:6379] 0 /",
		"redis://h":                           "tcp [h:6379] 0 /",
		"redis://u:p%40@h:1/5":                "tcp [h:1] 5 u/p@",
		"redis://:p@[::1]:7/":                 "tcp [[::1]:7] 0 /p",
		"redis+socket:///tmp/r.sock":          "unix [/tmp/r.sock] 0 /",
		"redis+socket://:p@/r?virtual_host=4": "unix [/r] 4 /p",
		"sentinel://:p@a:1/2?master_name=m;sentinel://b:2;sentinel://c": "sentinel [a:1 b:2 c:26379] 2 /p",
	} {
		ep, err := parseURL(url)
		if got := fmt.Sprintf("%s %v %d %s/%s", ep.network, ep.addresses, ep.database, ep.username, ep.password); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", url, got, err, want)
		}
	}
	for _, url := range []string{"amqp://h", "redis://h/x", "redis://h/-1", "redis+socket://", "rediss://h?ssl_cert_reqs=maybe", "sentinel://a;redis://b", "://"} {
		if _, err := parseURL(url); !errors.Is(err, ErrURL) {
			t.Errorf("%s gives %v", url, err)
		}
	}
	if got := RedactURL("sentinel://u:secret@a;sentinel://b?sentinel_password=secret"); strings.Contains(got, "secret") {
		t.Error(got)
	}
}
