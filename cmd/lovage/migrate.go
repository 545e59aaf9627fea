package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"text/tabwriter"

	"github.com/spf13/cobra"

	store "github.com/lovage-go/lovage/sql"
)

// database is where commands find PostgreSQL, and who answers for what they change.
type database struct{ url, who, why string }

// register adds the flag of the database.
func (d *database) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&d.url, "database", "", "PostgreSQL URL (default $LOVAGE_DATABASE_URL)")
}

// explain adds the flags of a command that is audited.
func (d *database) explain(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.why, "why", "", "the reason, for the audit (needed)")
	cmd.Flags().StringVar(&d.who, "who", "", "who does it, for the audit (default the user's name)")
}

func (d *database) open(ctx context.Context) (*store.Store, error) {
	url := d.url
	if url == "" {
		url = os.Getenv("LOVAGE_DATABASE_URL")
	}
	if url == "" {
		return nil, errors.New("name the database: --database postgres://... or LOVAGE_DATABASE_URL")
	}
	return store.Open(ctx, url)
}

// answerable says who does what an audited command does.
func (d *database) answerable() (who, why string, err error) {
	if d.why == "" {
		return "", "", errors.New("say why: --why \"...\" is kept in the audit")
	}
	if d.who != "" {
		return d.who, d.why, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", "", fmt.Errorf("who are you? --who: %w", err)
	}
	return u.Username, d.why, nil
}

// withStore runs a command on the database.
func (d *database) withStore(run func(ctx context.Context, s *store.Store, out io.Writer, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := d.open(cmd.Context())
		if err != nil {
			return err
		}
		defer s.Close()
		return run(cmd.Context(), s, cmd.OutOrStdout(), args)
	}
}

func migrateCommand() *cobra.Command {
	var db database
	cmd := &cobra.Command{Use: "migrate", Short: "The schema lovage in PostgreSQL: up, down, status"}
	db.register(cmd)
	cmd.AddCommand(
		&cobra.Command{Use: "up", Short: "Bring the schema to the newest version; safe with several at once", Args: cobra.NoArgs,
			RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
				if err := store.Migrate(ctx, s.DB.DB); err != nil {
					return err
				}
				return printMigrations(ctx, s, out)
			})},
		&cobra.Command{Use: "down", Short: "Take the last step back; what was in its tables is gone", Args: cobra.NoArgs,
			RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
				if err := store.MigrateDown(ctx, s.DB.DB); err != nil {
					return err
				}
				return printMigrations(ctx, s, out)
			})},
		&cobra.Command{Use: "status", Short: "List the steps", Args: cobra.NoArgs,
			RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
				return printMigrations(ctx, s, out)
			})},
	)
	return cmd
}

func printMigrations(ctx context.Context, s *store.Store, out io.Writer) error {
	list, err := store.Migrations(ctx, s.DB.DB)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tAPPLIED\tNAME")
	for _, m := range list {
		applied := "no"
		if m.Applied {
			applied = m.At.Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", m.Version, applied, m.Name)
	}
	return table.Flush()
}
