package worker

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/internal/transport"
)

// Bounds of one settle batch: how many messages, and how many bytes of effects.
const (
	batchEntries = 1000
	batchEffects = 4 << 20
)

// settleAll sends settlements to Redis until the channel is closed or the life has ended. A batch is what has gathered while the one before was on its way, so that one message
// alone waits for nobody. A batch that cannot be sent is tried again until it can, or until the lease is lost.
func (l *life) settleAll(base context.Context, end context.CancelCauseFunc) {
	defer l.dispatching.Wait()
	ends := l.ends
	for {
		if ends == nil && l.undispatched == 0 {
			return
		}
		select {
		case first, ok := <-ends:
			if !ok { // the runners have ended; complete chords may still be on their way
				ends = nil
				continue
			}
			l.settleBatch(base, end, gather(first, ends))
		case first := <-l.dispatched:
			l.undispatched--
			l.settleBatch(base, end, []*settlement{first})
		case <-base.Done():
			return
		}
	}
}

// gather takes what is there now, up to a batch.
func gather(first *settlement, more <-chan *settlement) []*settlement {
	entries := []*settlement{first}
	size := first.size()
	for len(entries) < batchEntries && size < batchEffects {
		select {
		case s, ok := <-more:
			if !ok {
				return entries
			}
			entries = append(entries, s)
			size += s.size()
		default:
			return entries
		}
	}
	return entries
}

func (s *settlement) size() int {
	size := 0
	for _, effect := range s.Effects {
		size += effect.Size()
	}
	return size
}

func (l *life) settleBatch(base context.Context, end context.CancelCauseFunc, entries []*settlement) {
	plain := make([]transport.Settlement, len(entries))
	for i, s := range entries {
		plain[i] = s.Settlement
	}
	batch := l.session.NewBatch(plain)
	for {
		if base.Err() != nil {
			l.settled(entries, nil, false)
			return
		}
		answer, err := l.session.Settle(base, batch)
		if err == nil {
			l.state.ok()
			l.report(answer)
			l.settled(l.dispatchChords(base, entries, answer.Complete), answer.Seqs, true)
			return
		}
		if errors.Is(err, transport.ErrLeaseLost) {
			l.lose(base, end, err)
		}
		l.state.wait(base, err)
	}
}

// settled takes the ended claims off the books.
func (l *life) settled(entries []*settlement, refused []uint64, sent bool) {
	gone := make(map[uint64]bool, len(refused))
	for _, seq := range refused {
		gone[seq] = true
	}
	var final []uint64
	for _, s := range entries {
		seq := s.Claim.Seq
		if s.final {
			final = append(final, seq)
		}
		if s.done != nil {
			s.done <- sent && !gone[seq]
		}
		if sent && !s.parked.IsZero() && !gone[seq] {
			l.parking.note(s.Claim.Queue, s.parked)
		}
	}
	l.held.remove(final)
	l.flow.settled(len(final))
}

// report says what was refused: its claim did not stand any more, so somebody else has the message, and nothing was written.
func (l *life) report(answer transport.Answer) {
	if answer.Acks == 0 && len(answer.Seqs) == 0 {
		return
	}
	l.log.Error("settles refused: the claims were gone, others have restored the messages; nothing was stored for them",
		zap.Int("acks", answer.Acks), zap.Uint64s("claims", answer.Seqs), zap.String("worker_id", l.session.ID()))
}
