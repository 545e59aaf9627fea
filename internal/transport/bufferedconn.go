package transport

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// bufferedConn reads ahead in blocks of 64 kB.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
	// failed is told of a read that failed for another reason than that this side or the server has closed the connection.
	failed *moment
}

func newBufferedConn(conn net.Conn, failed *moment) net.Conn {
	if conn == nil {
		return nil
	}
	return &bufferedConn{Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10), failed: failed}
}

func (c *bufferedConn) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
		c.failed.now()
	}
	return n, err
}

// moment is the last time that something happened.
type moment struct{ at atomic.Int64 }

func (m *moment) now() { m.at.Store(time.Now().UnixNano()) }

func (m *moment) after(t time.Time) bool { return m.at.Load() > t.UnixNano() }
