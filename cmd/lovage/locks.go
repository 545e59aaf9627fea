package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lovage-go/lovage/lockutil"
	store "github.com/lovage-go/lovage/sql"
)

func locksCommand(to *connection) *cobra.Command {
	var db database
	var asJSON bool
	cmd := &cobra.Command{Use: "locks", Short: "Locks of tasks: who holds what since when, and breaking one"}
	db.register(cmd)
	locker := func() (*lockutil.Locker, error) {
		url := to.broker
		if url == "" {
			url = os.Getenv("CELERY_BROKER_URL")
		}
		return lockutil.New(lockutil.Config{URL: url})
	}
	list := &cobra.Command{Use: "list", Short: "List held locks", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		l, err := locker()
		if err != nil {
			return err
		}
		defer l.Close()
		return listLocks(cmd.Context(), l, cmd.OutOrStdout(), asJSON)
	}}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	breaking := &cobra.Command{Use: "break KEY", Short: "Take a lock away from its holders; audited", Args: cobra.ExactArgs(1),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			who, why, err := db.answerable()
			if err != nil {
				return err
			}
			l, err := locker()
			if err != nil {
				return err
			}
			defer l.Close()
			return breakLock(ctx, l, s, out, args[0], who, why)
		})}
	db.explain(breaking)
	cmd.AddCommand(list, breaking)
	return cmd
}

func listLocks(ctx context.Context, l *lockutil.Locker, out io.Writer, asJSON bool) error {
	locks, err := l.List(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		for _, lock := range locks {
			if err := json.NewEncoder(out).Encode(lock); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tMODE\tSINCE\tHELD\tOWNER\tFOR\tNUMBER\tWAITING")
	for _, lock := range locks {
		for _, h := range lock.Holders {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", lock.Key, h.Mode, h.Since.Format("15:04:05"), max(0, time.Since(h.Since)).Round(time.Second), h.Owner, h.Note, h.Number, lock.Waiting)
		}
	}
	return table.Flush()
}

// breakLock writes the audit row first: what is not written down is not done.
func breakLock(ctx context.Context, l *lockutil.Locker, s *store.Store, out io.Writer, key, who, why string) error {
	locks, err := l.List(ctx)
	if err != nil {
		return err
	}
	var before string
	for _, lock := range locks {
		if lock.Key == key {
			text, err := json.Marshal(lock.Holders)
			if err != nil {
				return err
			}
			before = string(text)
		}
	}
	if before == "" {
		return fmt.Errorf("nobody holds %s", key)
	}
	if err := (store.Audit{Who: who, Why: why, Action: "lock.break", Subject: key, Before: &before}).Write(ctx, s.DB); err != nil {
		return err
	}
	broken, err := l.Break(ctx, key)
	for _, h := range broken {
		fmt.Fprintf(out, "taken from %s (%s), number %d\n", h.Owner, h.Note, h.Number)
	}
	return err
}
