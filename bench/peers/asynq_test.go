package peers

import (
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

func asynqPeer() peer {
	key := func(part string) string { return "asynq:{" + queue + "}:" + part }
	return peer{
		name: "asynq", tasks: 40_000, concurrency: 100, command: program("asynq"),
		fill: func(s *stage, task string, n int) {
			client := asynq.NewClient(asynq.RedisClientOpt{Addr: s.redis.Addr()})
			defer client.Close()
			const senders = 16
			var group sync.WaitGroup
			for k := range senders {
				group.Go(func() {
					for i := k; i < n; i += senders {
						enqueue(s, client, task, i)
					}
				})
			}
			group.Wait()
		},
		send: func(s *stage, task string, i int) {
			client := asynq.NewClient(asynq.RedisClientOpt{Addr: s.redis.Addr()})
			defer client.Close()
			enqueue(s, client, task, i)
		},
		left: func(s *stage) int {
			return s.int("LLEN", key("pending")) + s.int("LLEN", key("active")) + s.int("ZCARD", key("retry")) + s.int("ZCARD", key("scheduled"))
		},
		stored: func(s *stage) int { return s.int("ZCARD", key("completed")) },
	}
}

func enqueue(s *stage, client *asynq.Client, task string, i int) {
	options := []asynq.Option{asynq.Queue(queue)}
	if s.results {
		options = append(options, asynq.Retention(24*time.Hour))
	}
	if _, err := client.Enqueue(asynq.NewTask(task, []byte(strconv.Itoa(i))), options...); err != nil {
		s.b.Errorf("enqueue: %v", err)
	}
}
