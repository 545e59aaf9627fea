package worker

import (
	"context"
	"sync"
	"time"
)

// held is what this life has claimed and not settled.
type held struct {
	mu   sync.Mutex
	jobs map[uint64]*job
	size int64
}

func newHeld() *held { return &held{jobs: map[uint64]*job{}} }

func (h *held) add(jobs []*job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range jobs {
		h.jobs[j.claim.Seq] = j
		h.size += int64(len(j.claim.Message))
	}
}

func (h *held) remove(seqs []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, seq := range seqs {
		if j, ok := h.jobs[seq]; ok {
			h.size -= int64(len(j.claim.Message))
			delete(h.jobs, seq)
		}
	}
}

func (h *held) has(seq uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.jobs[seq]
	return ok
}

// bytes is the size of all held messages together.
func (h *held) bytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.size
}

// olderThan lists the claims that were made before the given time.
func (h *held) olderThan(before time.Time) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var seqs []uint64
	for seq, j := range h.jobs {
		if j.since.Before(before) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func (h *held) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.jobs)
}

// begin notes that the handler of a job runs under the given task id.
func (h *held) begin(j *job, id string, cancel context.CancelCauseFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j.id, j.cancel = id, cancel
}

func (h *held) finish(j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j.cancel = nil
}

// taskIDs lists the ids of tasks that run or have run and are not settled, at most most.
func (h *held) taskIDs(most int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for _, j := range h.jobs {
		if j.id != "" && len(ids) < most {
			ids = append(ids, j.id)
		}
	}
	return ids
}

// cancelAll ends the contexts of all running handlers.
func (h *held) cancelAll(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range h.jobs {
		if j.cancel != nil {
			j.cancel(cause)
		}
	}
}
