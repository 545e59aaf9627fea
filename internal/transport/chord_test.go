package transport

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

var keys = ChordKeys{Base: "celery-taskset-meta-g"}

// member is the part of the chord's member with the given place.
func member(n int) Part {
	return Part{Keys: keys, ID: fmt.Sprint("m", n), Score: fmt.Sprint(n), Value: fmt.Appendf(nil, `[1, "m%d", "SUCCESS", %d]`, n, n), Ordered: true, Expires: time.Hour}
}

// settleParts settles one claim for each of the effects' lists.
func settleParts(t *testing.T, s *Session, claims []Claim, effects ...[]Effect) Answer {
	t.Helper()
	entries := make([]Settlement, len(effects))
	for i := range effects {
		entries[i] = Settlement{Claim: claims[i], Mode: Ack, Effects: effects[i]}
	}
	answer, err := s.Settle(t.Context(), s.NewBatch(entries))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func startChord(t *testing.T, options Options, size int) (*testenv.RedisServer, *Broker, *Session, []Claim) {
	t.Helper()
	server := testenv.Redis(t)
	b, s := open(t, server, options, "w")
	for n := range 10 {
		server.Do("LPUSH", "q", fmt.Sprint("message", n))
	}
	if err := b.PrepareChord(t.Context(), keys, size, time.Hour); err != nil {
		t.Fatal(err)
	}
	return server, b, s, claim(t, s, 10)
}

func TestTheLastMemberOfAChordKeepsItsClaimUntilTheBodyIsSent(t *testing.T) {
	server, b, s, claims := startChord(t, Options{}, 2)
	last := []Effect{CountPart(member(1)), Push("out", []byte("follow-up"))}
	answer := settleParts(t, s, claims, []Effect{CountPart(member(0))}, last)
	if len(answer.Seqs) != 0 || !slices.Equal(answer.Complete, []Completion{{Seq: claims[1].Seq, Part: 0}}) {
		t.Fatalf("the answer is %+v", answer)
	}
	if server.Int("HEXISTS", "unacked", s.tag(claims[1].Seq)) != 1 || server.Int("HEXISTS", "unacked", s.tag(claims[0].Seq)) != 0 || server.Int("LLEN", "out") != 0 {
		t.Error("the last member was settled before the body was sent, or the first was not")
	}
	values, group, err := b.ChordResults(t.Context(), keys, true)
	if err != nil || len(values) != 2 || string(values[1]) != `[1, "m1", "SUCCESS", 1]` || group != nil {
		t.Errorf("results %s, %s, %v", values, group, err)
	}
	answer = settleParts(t, s, claims[1:], []Effect{Push("out", []byte("follow-up")), FinishChord(member(1), 1), Push("out", []byte("body"))})
	if len(answer.Seqs)+len(answer.Complete) != 0 {
		t.Errorf("the second answer is %+v", answer)
	}
	if got := server.Strings("LRANGE", "out", 0, -1); len(got) != 2 || got[0] != "body" {
		t.Errorf("sent %v", got)
	}
	if left := server.Strings("KEYS", "celery-taskset-meta-*"); len(left) != 1 || left[0] != keys.dispatch() {
		t.Errorf("left: %v", left)
	}
}

func TestAMemberThatComesAgainIsNotCountedAgain(t *testing.T) {
	for name, again := range map[string]Part{
		"the same result": member(0),
		"another result":  {Keys: keys, ID: "m0", Score: "0", Value: []byte(`[1, "m0", "SUCCESS", 77]`), Ordered: true, Expires: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			server, _, s, claims := startChord(t, Options{}, 2)
			settleParts(t, s, claims, []Effect{CountPart(member(0))}, []Effect{CountPart(again)})
			if n := server.Int("ZCARD", keys.results()); n != 1 {
				t.Errorf("%d results", n)
			}
			// The worker of the last member dies with the claim of the body: whoever runs the member again has it.
			first := settleParts(t, s, claims[2:], []Effect{CountPart(member(1))})
			second := settleParts(t, s, claims[3:], []Effect{CountPart(member(1))})
			if len(first.Complete) != 1 || len(second.Complete) != 1 {
				t.Errorf("complete: %+v, then %+v", first, second)
			}
			// Another member that comes again meanwhile does not.
			if third := settleParts(t, s, claims[4:], []Effect{CountPart(member(0))}); len(third.Complete) != 0 {
				t.Errorf("the chord is complete twice: %+v", third)
			}
			settleParts(t, s, claims[3:], []Effect{FinishChord(member(1), 1), Push("out", []byte("body"))})
			settleParts(t, s, claims[2:], []Effect{FinishChord(member(1), 1), Push("out", []byte("body"))})
			if late := settleParts(t, s, claims[5:], []Effect{CountPart(member(0))}); len(late.Complete) != 0 {
				t.Errorf("a late copy completes the chord: %+v", late)
			}
			if n := server.Int("LLEN", "out"); n != 1 {
				t.Errorf("the body was sent %d times", n)
			}
		})
	}
}

func TestAClaimThatIsGoneCountsNothing(t *testing.T) {
	server, _, s, claims := startChord(t, Options{}, 1)
	server.Do("HDEL", "unacked", s.tag(claims[0].Seq)) // somebody has restored it
	answer := settleParts(t, s, claims, []Effect{CountPart(member(0)), Push("out", []byte("x"))})
	if len(answer.Complete) != 0 || !slices.Equal(answer.Seqs, []uint64{claims[0].Seq}) || server.Int("EXISTS", keys.results()) != 0 {
		t.Errorf("the answer is %+v", answer)
	}
}

func TestAChordThatPythonHasDispatchedIsNotDispatchedAgain(t *testing.T) {
	server, _, s, claims := startChord(t, Options{}, 1)
	settleParts(t, s, claims, []Effect{CountPart(member(0))})
	server.Do("SET", keys.dispatch(), "done") // our claim had expired
	settleParts(t, s, claims, []Effect{FinishChord(member(0), 2), Push("out", []byte("body")), Push("out", []byte("body")), Push("other", []byte("x"))})
	if server.Int("EXISTS", "out") != 0 || server.Int("LLEN", "other") != 1 {
		t.Error("the body was sent again, or what does not belong to it was not")
	}
}

func TestAChordGrowsOnceForEachMemberThatIsAdded(t *testing.T) {
	server, _, s, claims := startChord(t, Options{}, 1)
	for n := range 2 { // the second time after a crash
		answer := settleParts(t, s, claims[n:], []Effect{GrowChord(keys, "new"), CountPart(member(0))})
		if len(answer.Complete) != 0 {
			t.Errorf("complete without the added member: %+v", answer)
		}
	}
	if n := server.Int("GET", keys.difference()); n != 1 {
		t.Errorf("the chord has grown by %d", n)
	}
	if answer := settleParts(t, s, claims[2:], []Effect{CountPart(member(1))}); len(answer.Complete) != 1 {
		t.Errorf("not complete: %+v", answer)
	}
}

func TestABatchOfPartsSentTwiceGivesItsAnswerTwice(t *testing.T) {
	_, _, s, claims := startChord(t, Options{}, 3)
	batch := s.NewBatch([]Settlement{
		{Claim: claims[0], Mode: Ack, Effects: []Effect{CountPart(member(0))}}, {Claim: claims[1], Mode: Ack, Effects: []Effect{CountPart(member(1))}},
		{Claim: claims[2], Mode: Ack, Effects: []Effect{CountPart(member(2))}},
	})
	for range 2 {
		answer, err := s.Settle(t.Context(), batch)
		if err != nil || !slices.Equal(answer.Complete, []Completion{{Seq: claims[2].Seq}}) || len(answer.Seqs) != 0 {
			t.Errorf("the answer is %+v, %v", answer, err)
		}
	}
}
