// Package client sends tasks to Celery workers, Python's or Lovage's, and reads their results.
//
//	c, err := client.New(client.Config{})
//	result, err := c.Send(ctx, client.Task{Name: "tasks.add", Args: []any{2, 3}})
//	err = result.Get(ctx, &sum)
//
// A Client is send_task and AsyncResult: it knows no task's code.
package client
