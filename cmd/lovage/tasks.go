package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/storm"
)

func tasksCommand(to *connection) *cobra.Command {
	var db database
	cmd := &cobra.Command{Use: "tasks", Short: "Hold a task back in the whole fleet: pause, resume, throttle"}
	db.register(cmd)
	give := func(use, short, action string, args int, order func(args []string) (storm.Order, error)) *cobra.Command {
		sub := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args),
			RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
				o, err := order(args)
				if err != nil {
					return err
				}
				return giveOrder(ctx, to, &db, s, out, action, o)
			})}
		db.explain(sub)
		return sub
	}
	list := &cobra.Command{Use: "list", Short: "List what is held back", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		c, err := stormControl(to)
		if err != nil {
			return err
		}
		defer c.Close()
		orders, err := c.Orders(cmd.Context())
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		fmt.Fprintln(table, "TASK\tPAUSED\tPER MINUTE\tSINCE\tWHO\tWHY")
		for _, o := range orders {
			fmt.Fprintf(table, "%s\t%t\t%d\t%s\t%s\t%s\n", o.Task, o.Paused, o.PerMinute, clock(&o.At), o.Who, o.Why)
		}
		return table.Flush()
	}}
	cmd.AddCommand(list,
		give("pause NAME", "Run no message of the task until it is resumed; audited", "task.pause", 1, func(args []string) (storm.Order, error) {
			return storm.Order{Task: args[0], Paused: true}, nil
		}),
		give("resume NAME", "Run the task again, without a bound; audited", "task.resume", 1, func(args []string) (storm.Order, error) {
			return storm.Order{Task: args[0]}, nil
		}),
		give("throttle NAME PER-MINUTE", "Begin at most so many a minute; audited", "task.throttle", 2, func(args []string) (storm.Order, error) {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return storm.Order{}, errors.New("PER-MINUTE is a whole number above 0; pause stops the task")
			}
			return storm.Order{Task: args[0], PerMinute: n}, nil
		}))
	return cmd
}

func stormControl(to *connection) (*storm.Control, error) {
	url := to.broker
	if url == "" {
		url = os.Getenv("CELERY_BROKER_URL")
	}
	return storm.New(url)
}

// giveOrder writes the audit row first.
func giveOrder(ctx context.Context, to *connection, db *database, s *store.Store, out io.Writer, action string, order storm.Order) error {
	var err error
	if order.Who, order.Why, err = db.answerable(); err != nil {
		return err
	}
	c, err := stormControl(to)
	if err != nil {
		return err
	}
	defer c.Close()
	before, after, err := describeOrders(ctx, c, order)
	if err != nil {
		return err
	}
	if err := (store.Audit{Who: order.Who, Why: order.Why, Action: action, Subject: order.Task, Before: before, After: &after}).Write(ctx, s.DB); err != nil {
		return err
	}
	if err := c.Give(ctx, order); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s: workers obey within a second\n", action, order.Task)
	return nil
}

func describeOrders(ctx context.Context, c *storm.Control, order storm.Order) (before *string, after string, err error) {
	orders, err := c.Orders(ctx)
	if err != nil {
		return nil, "", err
	}
	if old, ok := orders[order.Task]; ok {
		text, err := json.Marshal(old)
		if err != nil {
			return nil, "", err
		}
		s := string(text)
		before = &s
	}
	text, err := json.Marshal(order)
	return before, string(text), err
}
