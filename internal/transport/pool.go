package transport

import (
	"time"

	"github.com/gomodule/redigo/redis"
)

// NewPool makes a pool of connections to the Redis of a broker URL, with the timeouts and the Sentinel handling that workers have. An empty URL is redis://localhost:6379/0. It
// does not connect yet; a bad URL is an error that wraps ErrURL.
func NewPool(url, name string) (*redis.Pool, error) {
	options := Options{URL: url}.withDefaults()
	ep, err := parseURL(options.URL)
	if err != nil {
		return nil, err
	}
	pool := newPool(&dialer{endpoint: ep, name: name, connectTimeout: options.ConnectTimeout, ioTimeout: options.IOTimeout})
	pool.MaxIdle = 64
	pool.IdleTimeout = time.Minute
	return pool, nil
}
