// Command lovage is Lovage for people: an embedded broker to try it with, sending tasks from a shell, looking after dead letters.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lovage:", err)
		os.Exit(1)
	}
}

// connection is where all commands find the broker.
type connection struct{ broker, results, prefix string }

func root() *cobra.Command {
	var to connection
	cmd := &cobra.Command{
		Use:           "lovage",
		Short:         "Celery tasks in Go: try it, send tasks, look after what went wrong",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&to.broker, "broker", "b", "", "broker URL (default $CELERY_BROKER_URL, then redis://localhost:6379/0)")
	flags.StringVar(&to.results, "result-backend", "", "result backend URL (default $CELERY_RESULT_BACKEND, then the broker)")
	flags.StringVar(&to.prefix, "key-prefix", "", "global_keyprefix of the broker's transport options")
	cmd.AddCommand(devCommand(), sendCommand(&to), deadLetterCommand(&to), migrateCommand(), locksCommand(&to), ledgerCommand(&to), runsCommand(), tasksCommand(&to))
	return cmd
}
