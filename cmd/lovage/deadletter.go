package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lovage-go/lovage/internal/transport"
	"github.com/lovage-go/lovage/worker"
)

// letterFilter chooses dead letters.
type letterFilter struct {
	task, reason, queue string
	all, dryRun, asJSON bool
	most                int
}

func deadLetterCommand(to *connection) *cobra.Command {
	var filter letterFilter
	cmd := &cobra.Command{Use: "deadletter", Short: "Messages that could not be run: list, show, requeue, drop"}
	f := cmd.PersistentFlags()
	f.StringVar(&filter.task, "task", "", "only tasks whose name matches this glob")
	f.StringVar(&filter.reason, "reason", "", "only this reason, e.g. NotRegistered, DecodeError, WorkerLostError")
	f.StringVar(&filter.queue, "queue", "", "only messages of this queue")
	f.BoolVar(&filter.asJSON, "json", false, "print JSON lines")
	with := func(run func(ctx context.Context, b *transport.Broker, out io.Writer, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			url := to.broker
			if url == "" {
				url = os.Getenv("CELERY_BROKER_URL")
			}
			b, err := transport.New(transport.Options{URL: url, Layout: transport.Layout{Prefix: to.prefix}})
			if err != nil {
				return err
			}
			defer b.Close()
			return run(cmd.Context(), b, cmd.OutOrStdout(), args)
		}
	}
	list := &cobra.Command{Use: "list", Short: "List dead letters, oldest first", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, b *transport.Broker, out io.Writer, _ []string) error {
			return listLetters(ctx, b, out, filter)
		})}
	list.Flags().IntVar(&filter.most, "most", 100, "list at most this many")
	show := &cobra.Command{Use: "show ID", Short: "Show one dead letter with its message, byte for byte", Args: cobra.ExactArgs(1),
		RunE: with(func(ctx context.Context, b *transport.Broker, out io.Writer, args []string) error {
			return showLetter(ctx, b, out, args[0])
		})}
	cmd.AddCommand(list, show)
	for _, action := range []struct {
		use, short string
		requeue    bool
	}{{"requeue [ID...]", "Put messages back on their queues, byte for byte", true}, {"drop [ID...]", "Delete messages for good", false}} {
		sub := &cobra.Command{Use: action.use, Short: action.short,
			RunE: with(func(ctx context.Context, b *transport.Broker, out io.Writer, ids []string) error {
				return moveLetters(ctx, b, out, filter, ids, action.requeue)
			})}
		sub.Flags().BoolVar(&filter.all, "all", false, "all that the filters choose")
		sub.Flags().BoolVar(&filter.dryRun, "dry-run", false, "only say what would be done")
		cmd.AddCommand(sub)
	}
	return cmd
}

func (f letterFilter) matches(letter worker.DeadLetter) bool {
	matched, err := path.Match(f.task, letter.Task)
	return (f.task == "" || err == nil && matched) && (f.reason == "" || f.reason == letter.Reason) && (f.queue == "" || f.queue == letter.Queue)
}

// letters walks over the entries that the filter chooses until visit returns false.
func letters(ctx context.Context, b *transport.Broker, filter letterFilter, visit func(worker.DeadLetter) (bool, error)) error {
	const page = 500
	var chosen []worker.DeadLetter
	for offset := 0; ; offset += page {
		entries, err := b.DeadLetters(ctx, offset, page)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			letter := worker.DeadLetter{}
			if err := json.Unmarshal(entry.Info, &letter); err != nil {
				letter.Detail = "its description is damaged"
			}
			letter.ID = entry.ID
			if filter.matches(letter) {
				chosen = append(chosen, letter)
			}
		}
		if len(entries) < page {
			break
		}
	}
	for _, letter := range chosen {
		if more, err := visit(letter); err != nil || !more {
			return err
		}
	}
	return nil
}

func listLetters(ctx context.Context, b *transport.Broker, out io.Writer, filter letterFilter) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if !filter.asJSON {
		fmt.Fprintln(table, "ID\tWHEN\tQUEUE\tTASK\tTASK ID\tREASON\tDETAIL")
	}
	n := 0
	err := letters(ctx, b, filter, func(l worker.DeadLetter) (bool, error) {
		if filter.asJSON {
			return n < filter.most, json.NewEncoder(out).Encode(l)
		}
		n++
		detail := []rune(l.Detail)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.At.Format("2006-01-02 15:04:05"), l.Queue, l.Task, l.TaskID, l.Reason, string(detail[:min(len(detail), 80)]))
		return n < filter.most, nil
	})
	return errors.Join(err, table.Flush())
}

func showLetter(ctx context.Context, b *transport.Broker, out io.Writer, id string) error {
	message, err := b.DeadLetterMessage(ctx, id)
	if err != nil {
		return err
	}
	if message == nil {
		return fmt.Errorf("there is no dead letter %s", id)
	}
	err = letters(ctx, b, letterFilter{}, func(l worker.DeadLetter) (bool, error) {
		if l.ID != id {
			return true, nil
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return false, encoder.Encode(l)
	})
	_, writeErr := out.Write(append(message, '\n'))
	return errors.Join(err, writeErr)
}

func moveLetters(ctx context.Context, b *transport.Broker, out io.Writer, filter letterFilter, ids []string, requeue bool) error {
	if len(ids) == 0 && !filter.all {
		return errors.New("name the ids, or choose by filters with --all")
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	verb, moved := "dropped", 0
	if requeue {
		verb = "requeued"
	}
	err := letters(ctx, b, filter, func(l worker.DeadLetter) (bool, error) {
		if len(ids) > 0 && !wanted[l.ID] {
			return true, nil
		}
		delete(wanted, l.ID)
		if filter.dryRun {
			moved++
			fmt.Fprintf(out, "would be %s: %s %s %s\n", verb, l.ID, l.Task, l.Reason)
			return true, nil
		}
		queue := ""
		if requeue {
			queue = l.Queue
		}
		done, err := b.Exhume(ctx, l.ID, queue, l.Priority)
		if done {
			moved++
		}
		return true, err
	})
	for id := range wanted {
		err = errors.Join(err, fmt.Errorf("there is no dead letter %s", id))
	}
	if !filter.dryRun {
		fmt.Fprintf(out, "%s %d\n", verb, moved)
	}
	return err
}
