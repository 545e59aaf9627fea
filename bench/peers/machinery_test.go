package peers

import (
	"encoding/json"

	"github.com/RichardKnop/machinery/v2/tasks"
)

// machineryPeer's messages are made as its server makes them, but pushed many at a time.
func machineryPeer() peer {
	message := func(s *stage, task string, i int) []byte {
		signature, err := tasks.NewSignature(task, []tasks.Arg{{Type: "int", Value: i}})
		if err != nil {
			s.b.Fatal(err)
		}
		signature.RoutingKey = queue
		data, err := json.Marshal(signature)
		if err != nil {
			s.b.Fatal(err)
		}
		return data
	}
	return peer{
		name: "machinery", tasks: 40_000, concurrency: 100, command: program("machinery"),
		fill: func(s *stage, task string, n int) {
			s.push("RPUSH", queue, n, func(i int) []byte { return message(s, task, i) })
		},
		send: func(s *stage, task string, i int) { s.do("RPUSH", queue, message(s, task, i)) },
		left: func(s *stage) int { return s.int("LLEN", queue) },
	}
}
