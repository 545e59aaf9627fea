package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	store "github.com/lovage-go/lovage/sql"
)

func runsCommand() *cobra.Command {
	var db database
	var scope string
	cmd := &cobra.Command{Use: "runs", Short: "Prediction runs: list, show, diff, activate, rollback"}
	db.register(cmd)
	list := &cobra.Command{Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
			return listRuns(ctx, s, out, scope)
		})}
	list.Flags().StringVar(&scope, "scope", "", "only this scope")
	show := &cobra.Command{Use: "show SCOPE", Short: "The active run of a scope and every switch of it", Args: cobra.ExactArgs(1),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			return showScope(ctx, s, out, args[0])
		})}
	var table string
	diff := &cobra.Command{Use: "diff RUN RUN", Short: "What two runs wrote into a table: rows in one, in both, and changed", Args: cobra.ExactArgs(2),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			d, err := s.DiffRuns(ctx, table, args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "only in %s: %d\nonly in %s: %d\nchanged: %d\nthe same: %d\n", args[0], d.OnlyFirst, args[1], d.OnlySecond, d.Changed, d.Same)
			return nil
		})}
	diff.Flags().StringVar(&table, "table", "risk_events", "a table with a column prediction_run_id")
	activate := &cobra.Command{Use: "activate SCOPE RUN", Short: "Make a run the one that readers see; audited", Args: cobra.ExactArgs(2),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			return switchRun(ctx, &db, s, out, store.Switching{Scope: args[0], To: args[1]})
		})}
	rollback := &cobra.Command{Use: "rollback SCOPE", Short: "Go back to the run that was active before; audited", Args: cobra.ExactArgs(1),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			previous, err := s.Previous(ctx, args[0])
			if err != nil {
				return err
			}
			return switchRun(ctx, &db, s, out, store.Switching{Scope: args[0], To: previous, Rollback: true})
		})}
	db.explain(activate)
	db.explain(rollback)
	cmd.AddCommand(list, show, diff, activate, rollback)
	return cmd
}

func switchRun(ctx context.Context, db *database, s *store.Store, out io.Writer, w store.Switching) error {
	var err error
	if w.Who, w.Why, err = db.answerable(); err != nil {
		return err
	}
	if err := s.Switch(ctx, w); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s is active; caches are told by the outbox\n", w.Scope, w.To)
	return nil
}

func listRuns(ctx context.Context, s *store.Store, out io.Writer, scope string) error {
	runs, err := s.Runs(ctx, scope, 100)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "CREATED\tSCOPE\tRUN\tSTATE\tBY\tACTIVATED")
	for _, r := range runs {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", clock(&r.CreatedAt), r.Scope, r.ID, r.State, r.CreatedBy, clock(r.ActivatedAt))
	}
	return table.Flush()
}

func showScope(ctx context.Context, s *store.Store, out io.Writer, scope string) error {
	id, version, err := store.Active(ctx, s.DB, scope)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s is active, switch number %d\n", scope, id, version)
	audits, err := s.Audits(ctx, scope)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tACTION\tFROM\tTO\tWHO\tWHY")
	text := func(p *string) string {
		if p == nil {
			return "-"
		}
		return *p
	}
	for _, a := range audits {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", clock(&a.At), a.Action, text(a.Before), text(a.After), a.Who, a.Why)
	}
	return table.Flush()
}
