// Package client sends tasks to Celery workers, Python's or Lovage's, and reads their results.
//
//	c, err := client.New(client.Config{})
//	result, err := c.Send(ctx, client.Task{Name: "tasks.add", Args: []any{2, 3}})
//	err = result.Get(ctx, &sum)
//
// Canvases are built of signatures and sent in one round trip; Python workers take them as Celery's own:
//
//	promise, err := c.Apply(ctx, client.Chord([]client.Signature{client.S(a), client.S(b)}, client.S(sum)))
//	err = promise.Get(ctx, &total)
//
// However many results are waited for, one connection hears them all.
//
// A Client is send_task and AsyncResult: it knows no task's code.
package client
