package transport

import (
	"bufio"
	"net"
)

// bufferedConn reads ahead in blocks of 64 kB.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func newBufferedConn(conn net.Conn) net.Conn {
	if conn == nil {
		return nil
	}
	return &bufferedConn{Conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
