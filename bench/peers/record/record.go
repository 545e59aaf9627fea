// Package record is a file of numbers in shared memory, one per task: the handlers of all peers write into it, whatever process they are in, and what a process has written
// is there after its kill -9.
package record

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Record is the file, mapped.
type Record struct {
	data  []byte
	slots []int64
}

// Create makes a file with a zero for each of n tasks.
func Create(path string, n int) (*Record, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, fmt.Errorf("create record: %w", err)
	}
	if err := os.Truncate(path, int64(max(1, n))*8); err != nil {
		return nil, fmt.Errorf("create record: %w", err)
	}
	return Open(path)
}

// Open maps a file that was made by Create.
func Open(path string) (*Record, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map record: %w", err)
	}
	return &Record{data: data, slots: unsafe.Slice((*int64)(unsafe.Pointer(&data[0])), len(data)/8)}, nil
}

// Close unmaps the file.
func (r *Record) Close() error { return syscall.Munmap(r.data) }

// Count notes that task i has run once more.
func (r *Record) Count(i int) { atomic.AddInt64(&r.slots[i], 1) }

// Stamp notes the time of task i's first run.
func (r *Record) Stamp(i int) { atomic.CompareAndSwapInt64(&r.slots[i], 0, time.Now().UnixNano()) }

// Slow counts task i after a while; a cancelled run does not count.
func (r *Record) Slow(ctx context.Context, i int, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		r.Count(i)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// At is the number of task i; Len how many there are.
func (r *Record) At(i int) int64 { return atomic.LoadInt64(&r.slots[i]) }

// Len is how many tasks there are.
func (r *Record) Len() int { return len(r.slots) }
