// Package worker runs Celery tasks in Go. A worker takes messages that Celery producers put on Redis, runs the handler registered
// under the task's name, and stores the result where AsyncResult looks for it.
//
//	w, err := worker.New(worker.Config{Queues: []string{"celery"}})
//	err = worker.Handle(w, "tasks.add", func(ctx context.Context, in Add) (int, error) { return in.X + in.Y, nil })
//	err = w.Main(context.Background()) // until SIGTERM or SIGINT
//
// The way of a message is a straight line, one file a step:
//
//	fetch.go ──▶ decode.go ──▶ admit.go ──▶ run.go ──▶ settle.go
//	claim        bytes to      known?       handler    acknowledge + result + follow-ups,
//	messages     a task        due? late?              in one step, if the claim stands
//
// Beside the line: keeper.go renews the lease under which claims are held, recover.go restores what dead workers held, life.go binds
// these services to one identity and replaces the identity when its lease is lost.
//
// Claim, Settle, Lease, Park and Restore mean the same thing everywhere: a claim is a message that a worker holds (in kombu's unacked); to
// settle it is to end it with all its effects; the lease is what keeps claims from being restored by others; a parked message waits for
// its due time and belongs to no worker; to restore is to put a claim back at the head of its queue.
package worker
