// Command bare is the limit that a worker in Go over redigo can come near to and not pass: it only pops messages and deletes what would stand for them, in pipelines,
// and neither reads nor records a message. A crash loses what it has popped.
package main

import (
	"errors"
	"log"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/bench/peers/record"
)

// pipeline is how many messages share a round trip.
const pipeline = 1000

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	env, err := record.FromEnvironment()
	if err != nil {
		return err
	}
	conn, err := redis.Dial("tcp", env.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	done := 0
	for {
		popped, err := round(conn, env.Queue)
		if err != nil {
			return err
		}
		for range popped {
			env.Count(done)
			done++
		}
		if popped == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// round pops a pipeline of messages and deletes, for each, one field of a hash and one of a sorted set, as an acknowledgement does.
func round(conn redis.Conn, queue string) (int, error) {
	for range pipeline {
		if err := errors.Join(conn.Send("RPOP", queue), conn.Send("HDEL", "unacked", "tag"), conn.Send("ZREM", "unacked_index", "tag")); err != nil {
			return 0, err
		}
	}
	if err := conn.Flush(); err != nil {
		return 0, err
	}
	popped := 0
	for range pipeline {
		message, err := conn.Receive()
		if err != nil {
			return 0, err
		}
		if message != nil {
			popped++
		}
		for range 2 {
			if _, err := conn.Receive(); err != nil {
				return 0, err
			}
		}
	}
	return popped, nil
}
