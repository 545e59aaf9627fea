package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/protocol"
)

type sendFlags struct {
	kwargs, queue, id           string
	countdown, expires, timeout float64
	priority                    int
	wait                        bool
	serializer, compression     string
}

func sendCommand(to *connection) *cobra.Command {
	var flags sendFlags
	cmd := &cobra.Command{
		Use:   "send NAME [ARGS-JSON]",
		Short: "Send a task, as `celery call` does",
		Example: `  lovage send tasks.add '[2, 3]' --wait
  lovage send tasks.report --kwargs '{"region": "north"}' --queue heavy --countdown 60`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return send(cmd, to, flags, args) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.kwargs, "kwargs", "", "keyword arguments, a JSON object")
	f.StringVarP(&flags.queue, "queue", "q", "celery", "queue to send to")
	f.StringVar(&flags.id, "id", "", "task id (default: a new uuid)")
	f.Float64Var(&flags.countdown, "countdown", 0, "seconds until it may run")
	f.Float64Var(&flags.expires, "expires", 0, "seconds until it may not run any more")
	f.IntVar(&flags.priority, "priority", 0, "0..9; over Redis a lower number is served first")
	f.StringVar(&flags.serializer, "serializer", "json", "json, msgpack or yaml")
	f.StringVar(&flags.compression, "compression", "", "zlib, bzip2, lzma, brotli or zstd")
	f.BoolVar(&flags.wait, "wait", false, "wait for the result and print it as JSON")
	f.Float64Var(&flags.timeout, "timeout", 0, "seconds to wait at most; 0: until it comes")
	return cmd
}

func send(cmd *cobra.Command, to *connection, flags sendFlags, args []string) error {
	task, err := flags.task(args)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{BrokerURL: to.broker, ResultBackend: to.results, KeyPrefix: to.prefix, ResultKeyPrefix: to.prefix})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	result, err := c.Send(ctx, task)
	if err != nil {
		return err
	}
	if !flags.wait {
		fmt.Fprintln(cmd.OutOrStdout(), result.ID)
		return nil
	}
	fmt.Fprintln(cmd.ErrOrStderr(), result.ID)
	if flags.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, seconds(flags.timeout))
		defer cancel()
	}
	var value protocol.Raw
	if err := result.Get(ctx, &value); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no result of %s within %g seconds: is a worker running that knows %s and serves queue %s?", result.ID, flags.timeout, task.Name, flags.queue)
		}
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), string(value))
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// task checks the arguments before anything is sent.
func (flags sendFlags) task(args []string) (client.Task, error) {
	task := client.Task{
		Name: args[0], ID: flags.id, Queue: flags.queue, Priority: flags.priority, Countdown: seconds(flags.countdown),
		Expires: seconds(flags.expires), Serializer: flags.serializer, Compression: flags.compression,
	}
	if flags.priority < 0 || flags.priority > 9 {
		return task, fmt.Errorf("--priority %d is not in 0..9", flags.priority)
	}
	if flags.countdown < 0 {
		return task, fmt.Errorf("--countdown %g is negative", flags.countdown)
	}
	if len(args) == 2 {
		elements, err := protocol.Raw(args[1]).Elements()
		if invalid := protocol.Raw(args[1]).Valid(protocol.Limits{}); err != nil || invalid != nil {
			return task, fmt.Errorf("the arguments must be a JSON list, like '[2, 3]': %w", errors.Join(err, invalid))
		}
		for _, element := range elements {
			task.Args = append(task.Args, element)
		}
	}
	if flags.kwargs != "" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(flags.kwargs), &object); err != nil {
			return task, fmt.Errorf("--kwargs must be a JSON object, like '{\"x\": 2}': %w", err)
		}
		task.Kwargs = map[string]any{}
		for name, value := range object {
			task.Kwargs[name] = protocol.Raw(value)
		}
	}
	return task, nil
}
