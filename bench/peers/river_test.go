package peers

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverArgs are those of workers/river.
type riverArgs struct {
	Do string `json:"do"`
	I  int    `json:"i"`
}

func (riverArgs) Kind() string { return "bench" }

// riverPeer runs on PostgreSQL with its own defaults: what is committed is on disk, which none of the others' Redis does here.
func riverPeer() peer {
	ctx := context.Background()
	pools := map[*stage]*pgxpool.Pool{}
	pool := func(s *stage) *pgxpool.Pool {
		if pools[s] == nil {
			p, err := pgxpool.New(ctx, s.dsn)
			if err != nil {
				s.b.Fatal(err)
			}
			pools[s] = p
			s.b.Cleanup(p.Close)
		}
		return pools[s]
	}
	insert := func(s *stage, params []river.InsertManyParams) {
		client, err := river.NewClient(riverpgxv5.New(pool(s)), &river.Config{})
		if err != nil {
			s.b.Fatal(err)
		}
		for len(params) > 0 {
			n := min(5000, len(params))
			if _, err := client.InsertMany(ctx, params[:n]); err != nil {
				s.b.Fatal(err)
			}
			params = params[n:]
		}
	}
	return peer{
		name: "River", tasks: 20_000, concurrency: 1000, postgres: true, command: program("river"),
		prepare: func(s *stage) {
			migrator, err := rivermigrate.New(riverpgxv5.New(pool(s)), nil)
			if err != nil {
				s.b.Fatal(err)
			}
			if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
				s.b.Fatal(err)
			}
		},
		fill: func(s *stage, task string, n int) {
			var params []river.InsertManyParams
			for i := range n {
				params = append(params, river.InsertManyParams{Args: riverArgs{task, i}})
			}
			insert(s, params)
		},
		send: func(s *stage, task string, i int) { insert(s, []river.InsertManyParams{{Args: riverArgs{task, i}}}) },
		left: func(s *stage) int {
			var n int
			if err := pool(s).QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&n); err != nil {
				s.b.Fatal(err)
			}
			return n
		},
	}
}
