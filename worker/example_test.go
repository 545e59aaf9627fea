package worker_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/zap"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/worker"
)

// A worker and a client on an embedded broker. Python's send_task would do as well as the client.
func ExampleHandle() {
	broker := miniredis.NewMiniRedis()
	if err := broker.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()
	url := "redis://" + broker.Addr()

	w, err := worker.New(worker.Config{BrokerURL: url, Logger: zap.NewNop()})
	if err != nil {
		fmt.Println(err)
		return
	}
	type add struct{ X, Y int }
	err = worker.Handle(w, "tasks.add", func(_ context.Context, in add) (int, error) { return in.X + in.Y, nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()

	c, err := client.New(client.Config{BrokerURL: url})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	result, err := c.Send(ctx, client.Task{Name: "tasks.add", Args: []any{2}, Kwargs: map[string]any{"y": 3}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var sum int
	err = result.Get(ctx, &sum)
	fmt.Println(sum, err)
	stop()
	fmt.Println(<-done)
	// Output:
	// 5 <nil>
	// <nil>
}
