package chaos

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

// proxy stands between workers and Redis and does to connections what networks do.
type proxy struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool

	// scripts are the hashes of the scripts whose answers may be swallowed; swallowing says how many of a thousand are.
	scripts    [][]byte
	swallowing atomic.Int64
	counts     struct{ cut, delayed, halfClosed, truncated, swallowed atomic.Int64 }
}

// link is one connection of a worker with its counterpart.
type link struct {
	near, far *net.TCPConn
	// truncate is how many bytes still pass before the link is cut; negative: all.
	truncate atomic.Int64
	delay    atomic.Int64
	hole     atomic.Bool
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, links: map[*link]bool{}}
	for _, name := range []string{"claim.lua", "settle.lua", "due.lua"} {
		text, err := os.ReadFile(filepath.Join(testenv.Root(t), "internal", "transport", name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(text)
		p.scripts = append(p.scripts, []byte(hex.EncodeToString(sum[:])))
	}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.each(func(l *link) { l.cut() })
		p.group.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() + "/0" }

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		l := &link{near: near.(*net.TCPConn), far: far.(*net.TCPConn)}
		l.truncate.Store(-1)
		p.mu.Lock()
		p.links[l] = true
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.pass(l, l.near, l.far, true) })
		both.Go(func() { p.pass(l, l.far, l.near, false) })
		p.group.Go(func() {
			both.Wait()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

func (l *link) cut() { _, _ = l.near.Close(), l.far.Close() }

// pass copies one direction, with the faults that the link has been given.
func (p *proxy) pass(l *link, from, to *net.TCPConn, request bool) {
	defer l.cut()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		chunk := buffer[:n]
		if d := l.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		if request {
			p.maySwallow(l, chunk)
		} else if l.hole.Load() {
			continue
		}
		if left := l.truncate.Load(); left >= 0 {
			chunk = chunk[:min(int64(len(chunk)), left)]
			_, _ = to.Write(chunk)
			return
		}
		if _, err := to.Write(chunk); err != nil {
			return
		}
	}
}

// maySwallow makes a hole of the way back when a claim or a settle passes: the script runs, its answer never arrives, and a moment later the connection breaks.
func (p *proxy) maySwallow(l *link, chunk []byte) {
	if rand.Int64N(1000) >= p.swallowing.Load() {
		return
	}
	for _, hash := range p.scripts {
		if bytes.Contains(chunk, hash) && !l.hole.Swap(true) {
			p.counts.swallowed.Add(1)
			time.AfterFunc(50*time.Millisecond, l.cut)
			return
		}
	}
}

func (p *proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
}

// any picks a connection that is open.
func (p *proxy) any() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links { // Go's order of a map is random enough
		return l
	}
	return nil
}

// torment does something to a random connection.
func (p *proxy) torment() {
	l := p.any()
	if l == nil {
		return
	}
	switch rand.IntN(5) {
	case 0:
		p.counts.cut.Add(1)
		l.cut()
	case 1:
		p.counts.delayed.Add(1)
		l.delay.Store(int64(time.Duration(rand.IntN(300)) * time.Millisecond))
		time.AfterFunc(time.Second, func() { l.delay.Store(0) })
	case 2:
		p.counts.halfClosed.Add(1)
		_ = l.near.CloseWrite()
	case 3:
		p.counts.halfClosed.Add(1)
		_ = l.far.CloseWrite()
	case 4:
		p.counts.truncated.Add(1)
		l.truncate.Store(rand.Int64N(200))
	}
}
