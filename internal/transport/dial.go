package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gomodule/redigo/redis"
)

// dialer opens connections to the endpoint of a URL. Every connection has timeouts and keep-alive, so that a peer that is gone is
// noticed (a blocked BLMOVE on a dead connection would otherwise take messages as a ghost).
type dialer struct {
	endpoint
	name           string // CLIENT SETNAME, to tell workers apart in CLIENT LIST
	connectTimeout time.Duration
	ioTimeout      time.Duration
	// failed is when a connection of this dialer went silent or was reset.
	failed moment
}

var errNoPrimary = errors.New("no Sentinel knows the primary")

func (d *dialer) dial(ctx context.Context) (redis.Conn, error) {
	network, address := d.network, d.addresses[0]
	if network == "sentinel" {
		primary, err := d.primary(ctx)
		if err != nil {
			return nil, err
		}
		network, address = "tcp", primary
	}
	options := []redis.DialOption{
		redis.DialUsername(d.username), redis.DialPassword(d.password), redis.DialDatabase(d.database),
		redis.DialReadTimeout(d.ioTimeout), redis.DialWriteTimeout(d.ioTimeout),
		redis.DialContextFunc(d.open),
	}
	if d.name != "" {
		options = append(options, redis.DialClientName(d.name))
	}
	ctx, cancel := context.WithTimeout(ctx, d.connectTimeout)
	defer cancel()
	conn, err := redis.DialContext(ctx, network, address, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to Redis at %s: %w", address, err)
	}
	if d.network == "sentinel" {
		// A demoted primary still accepts connections for a moment.
		if role, err := redis.Values(conn.Do("ROLE")); err == nil && len(role) > 0 {
			if name, _ := redis.String(role[0], nil); name != "master" {
				_ = conn.Close()
				return nil, fmt.Errorf("connect to Redis at %s: it is a %s, not the primary", address, name)
			}
		}
	}
	return conn, nil
}

// open makes the network connection, with TLS where the URL asks for it. Reads go through a large buffer, because redigo's own is
// 4 kB and a reply with hundreds of messages would cost hundreds of system calls.
func (d *dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	plain := net.Dialer{Timeout: d.connectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	conn, err := plain.DialContext(ctx, network, address)
	if err != nil || d.tls == nil {
		return newBufferedConn(conn, &d.failed), err
	}
	secure := tls.Client(conn, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newBufferedConn(secure, &d.failed), nil
}

// primary asks the Sentinels in turn for the address of the primary.
func (d *dialer) primary(ctx context.Context) (string, error) {
	var failures []error
	for _, address := range d.addresses {
		conn, err := redis.DialContext(ctx, "tcp", address,
			redis.DialConnectTimeout(d.connectTimeout), redis.DialReadTimeout(d.ioTimeout), redis.DialWriteTimeout(d.ioTimeout),
			redis.DialUsername(d.sentinelUser), redis.DialPassword(d.sentinelPassword))
		if err != nil {
			failures = append(failures, err)
			continue
		}
		reply, err := redis.Strings(conn.Do("SENTINEL", "get-master-addr-by-name", d.master))
		_ = conn.Close()
		if err == nil && len(reply) == 2 {
			return net.JoinHostPort(reply[0], reply[1]), nil
		}
		failures = append(failures, fmt.Errorf("sentinel %s: %w", address, err))
	}
	return "", fmt.Errorf("%w %q: %w", errNoPrimary, d.master, errors.Join(failures...))
}
