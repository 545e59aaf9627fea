package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

// ledgerFlags choose attempts.
type ledgerFlags struct {
	ledger.Filter
	since  string
	format string
}

func (f *ledgerFlags) register(cmd *cobra.Command, most int) {
	flags := cmd.Flags()
	flags.StringVar(&f.CorrelationID, "correlation-id", "", "only this correlation id")
	flags.StringVar(&f.Task, "task", "", "only this task name")
	flags.StringVar(&f.State, "state", "", "only this state: queued, running, succeeded, failed, retried, refused, lost")
	flags.StringVar(&f.Region, "region", "", "only this region code")
	flags.StringVar(&f.ErrorCode, "error", "", "only this error code")
	flags.StringVar(&f.RunID, "run", "", "only this prediction run")
	flags.StringVar(&f.since, "since", "", "not older than this: 90m, 24h, or a time like 2026-03-01T00:00:00Z")
	flags.IntVar(&f.Most, "most", most, "at most this many")
}

func (f *ledgerFlags) filter(now time.Time) (ledger.Filter, error) {
	if f.since == "" {
		return f.Filter, nil
	}
	if d, err := time.ParseDuration(f.since); err == nil {
		f.Since = now.Add(-d)
		return f.Filter, nil
	}
	at, err := time.Parse(time.RFC3339, f.since)
	if err != nil {
		return f.Filter, fmt.Errorf("--since %q is neither a duration nor a time", f.since)
	}
	f.Since = at
	return f.Filter, nil
}

func ledgerCommand(to *connection) *cobra.Command {
	var db database
	cmd := &cobra.Command{Use: "ledger", Short: "Every attempt of every task: find, show, export, replay"}
	db.register(cmd)
	var finding, exporting, replaying ledgerFlags
	var asJSON bool
	find := &cobra.Command{Use: "find", Short: "List attempts, oldest first", Args: cobra.NoArgs,
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
			return findAttempts(ctx, s, out, &finding, asJSON)
		})}
	finding.register(find, 100)
	find.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	show := &cobra.Command{Use: "show TASK-ID", Short: "Everything about a task and the tasks that began with it", Args: cobra.ExactArgs(1),
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			rows, err := ledger.Tree(ctx, s, args[0])
			if err == nil && len(rows) == 0 {
				err = fmt.Errorf("the ledger has nothing about %s", args[0])
			}
			if err != nil {
				return err
			}
			return showTree(out, rows)
		})}
	export := &cobra.Command{Use: "export", Short: "Write attempts as CSV or JSON lines", Args: cobra.NoArgs,
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, _ []string) error {
			return exportAttempts(ctx, s, out, &exporting)
		})}
	exporting.register(export, 100000)
	export.Flags().StringVar(&exporting.format, "format", "csv", "csv or json")
	cmd.AddCommand(find, show, export, replayCommand(to, &db, &replaying))
	return cmd
}

func findAttempts(ctx context.Context, s *store.Store, out io.Writer, flags *ledgerFlags, asJSON bool) error {
	filter, err := flags.filter(time.Now())
	if err != nil {
		return err
	}
	rows, err := ledger.Find(ctx, s, filter)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, rows)
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "STARTED\tTASK\tTASK ID\tTRY\tSTATE\tRUN MS\tROWS\tMODE\tREGION\tERROR")
	for _, r := range rows {
		state := r.State
		if r.Reused {
			state += " (first result)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d.%d\t%s\t%s\t%d\t%s\t%s\t%s\n", clock(r.StartedAt), r.Task, r.TaskID, r.Retries, r.Delivery, state, number(r.RunMS), r.RowsWritten, r.AccessMode, r.RegionCode, r.ErrorCode)
	}
	return table.Flush()
}

func clock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

func number(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *f)
}

// showTree prints the attempts as a story: under each task what came of it.
func showTree(out io.Writer, rows []ledger.Row) error {
	depth := map[string]int{}
	for _, r := range rows {
		if d, ok := depth[r.ParentID]; ok && r.ParentID != r.TaskID {
			depth[r.TaskID] = d + 1
		} else if _, ok := depth[r.TaskID]; !ok {
			depth[r.TaskID] = 0
		}
		pad := strings.Repeat("  ", depth[r.TaskID])
		fmt.Fprintf(out, "%s%s  %s  %s  try %d.%d on %s\n", pad, clock(r.StartedAt), r.Task, r.TaskID, r.Retries, r.Delivery, r.Worker)
		line := func(name, format string, args ...any) {
			fmt.Fprintf(out, "%s    %-12s %s\n", pad, name, fmt.Sprintf(format, args...))
		}
		state := r.State
		if r.Reused {
			state += ": the key had its effect before, the first result was returned"
		}
		line("state", "%s", state)
		line("times", "queued %s, waited %s ms, ran %s ms", clock(r.QueuedAt), number(r.QueueMS), number(r.RunMS))
		line("about", "correlation %s mode=%s product=%s region=%s/%s type=%s weather=%s run=%s", r.CorrelationID, r.AccessMode, r.ProductID, r.RegionScope, r.RegionCode, r.DataType, r.WeatherType, r.PredictionRunID)
		if r.LockResult != "" {
			line("lock", "%s: %s after %s ms, held %s ms, %s; number %d", r.LockKey, r.LockResult, number(r.LockWaitedMS), number(r.LockHeldMS), r.LockRelease, r.LockNumber)
		}
		if r.EffectKey != "" {
			line("wrote", "%d rows under the key %s", r.RowsWritten, r.EffectKey)
		}
		for _, key := range r.CacheKeys {
			line("cache", "%s", key)
		}
		if r.ErrorCode != "" {
			line("error", "%s (%s): %s", r.ErrorCode, r.ErrorClass, r.ErrorMessage)
			for _, frame := range strings.Split(strings.TrimSpace(r.Stack), "\n") {
				if frame != "" {
					line("", "%s", frame)
				}
			}
		}
		line("input", "args %s kwargs %s", r.Args, r.Kwargs)
	}
	return nil
}

func writeJSON(out io.Writer, rows []ledger.Row) error {
	encoder := json.NewEncoder(out)
	for _, r := range rows {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func exportAttempts(ctx context.Context, s *store.Store, out io.Writer, flags *ledgerFlags) error {
	filter, err := flags.filter(time.Now())
	if err != nil {
		return err
	}
	rows, err := ledger.Find(ctx, s, filter)
	if err != nil {
		return err
	}
	switch flags.format {
	case "json":
		return writeJSON(out, rows)
	case "csv":
		return writeCSV(out, rows)
	}
	return fmt.Errorf("--format %q is neither csv nor json", flags.format)
}

func writeCSV(out io.Writer, rows []ledger.Row) error {
	w := csv.NewWriter(out)
	row := reflect.TypeFor[ledger.Row]()
	header := make([]string, row.NumField())
	for i := range header {
		header[i] = row.Field(i).Tag.Get("json")
	}
	if err := w.Write(header); err != nil {
		return err
	}
	for _, r := range rows {
		cells := make([]string, len(header))
		for i := range cells {
			cells[i] = cell(reflect.ValueOf(r).Field(i).Interface())
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func cell(value any) string {
	switch v := value.(type) {
	case *time.Time:
		if v == nil {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	case *float64:
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	case []string:
		return strings.Join(v, " ")
	}
	return fmt.Sprint(value)
}

// replay is how attempts are run again.
type replay struct {
	db          *database
	flags       *ledgerFlags
	ids         []string
	dryRun      bool
	newKey      bool
	rate        float64
	broker      string
	keyPrefix   string
	destination string
}

func replayCommand(to *connection, db *database, flags *ledgerFlags) *cobra.Command {
	r := replay{db: db, flags: flags}
	cmd := &cobra.Command{Use: "replay [TASK-ID...]", Short: "Send tasks again with exactly the input that they had; audited. Without --yes it only says what it would send",
		RunE: db.withStore(func(ctx context.Context, s *store.Store, out io.Writer, args []string) error {
			r.ids, r.broker, r.keyPrefix = args, to.broker, to.prefix
			return r.run(ctx, s, out)
		})}
	flags.register(cmd, 10000)
	db.explain(cmd)
	var yes bool
	cmd.Flags().BoolVar(&yes, "yes", false, "send, and not only say what would be sent")
	cmd.Flags().BoolVar(&r.newKey, "new-key", false, "under a new idempotency key: the effect happens again. Default: the same key, what has had its effect returns its first result")
	cmd.Flags().Float64Var(&r.rate, "rate", 50, "at most so many a second")
	cmd.Flags().StringVar(&r.destination, "queue", "", "another queue than the one they came from")
	cmd.PreRun = func(*cobra.Command, []string) { r.dryRun = !yes }
	return cmd
}

func (r *replay) run(ctx context.Context, s *store.Store, out io.Writer) error {
	rows, err := r.choose(ctx, s)
	if err != nil {
		return err
	}
	if r.dryRun {
		for _, row := range rows {
			fmt.Fprintf(out, "would send %s (was %s, %s) args %s kwargs %s\n", row.Task, row.TaskID, row.State, row.Args, row.Kwargs)
		}
		fmt.Fprintf(out, "would send %d tasks; --yes sends them\n", len(rows))
		return nil
	}
	who, why, err := r.db.answerable()
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{BrokerURL: r.broker, KeyPrefix: r.keyPrefix})
	if err != nil {
		return err
	}
	defer c.Close()
	gap := time.Duration(float64(time.Second) / max(r.rate, 0.001))
	for i, row := range rows {
		if i > 0 {
			select {
			case <-time.After(gap):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		id, err := r.send(ctx, s, c, row, who, why)
		if err != nil {
			return fmt.Errorf("after %d of %d: %w", i, len(rows), err)
		}
		fmt.Fprintf(out, "sent %s as %s (was %s)\n", row.Task, id, row.TaskID)
	}
	fmt.Fprintf(out, "sent %d\n", len(rows))
	return nil
}

// choose finds the last attempt of each task.
func (r *replay) choose(ctx context.Context, s *store.Store) ([]ledger.Row, error) {
	filter, err := r.flags.filter(time.Now())
	if err != nil {
		return nil, err
	}
	var all []ledger.Row
	if len(r.ids) == 0 {
		if filter.Task == "" && filter.CorrelationID == "" && filter.State == "" && filter.RunID == "" {
			return nil, errors.New("name task ids, or choose by --task, --state, --correlation-id or --run")
		}
		if all, err = ledger.Find(ctx, s, filter); err != nil {
			return nil, err
		}
	}
	for _, id := range r.ids {
		rows, err := ledger.Find(ctx, s, ledger.Filter{TaskID: id})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("the ledger has nothing about %s", id)
		}
		all = append(all, rows...)
	}
	last := map[string]int{}
	for i, row := range all {
		last[row.TaskID] = i
	}
	var chosen []ledger.Row
	for i, row := range all {
		if last[row.TaskID] == i {
			chosen = append(chosen, row)
		}
	}
	return chosen, nil
}

func (r *replay) send(ctx context.Context, s *store.Store, c *client.Client, row ledger.Row, who, why string) (string, error) {
	args, err := protocol.Raw(row.Args).Elements()
	if err != nil {
		return "", fmt.Errorf("the input of %s is not whole in the ledger: %w", row.TaskID, err)
	}
	kwargs, err := protocol.Raw(row.Kwargs).Members()
	if err != nil {
		return "", fmt.Errorf("the input of %s is not whole in the ledger: %w", row.TaskID, err)
	}
	task := client.Task{Name: row.Task, ID: uuid.NewString(), Queue: row.Queue, Kwargs: map[string]any{}, Headers: map[string]any{"lovage_replay_of": row.TaskID}}
	if r.destination != "" {
		task.Queue = r.destination
	}
	for _, arg := range args {
		task.Args = append(task.Args, arg)
	}
	for _, m := range kwargs {
		task.Kwargs[m.Name] = m.Value
	}
	headers, err := protocol.Raw(row.Headers).Members()
	if err != nil {
		return "", fmt.Errorf("the headers of %s are not whole in the ledger: %w", row.TaskID, err)
	}
	for _, name := range tasks.AllDimensions() {
		if value, ok := headers.Get(string(name)); ok && !value.IsNull() {
			task.Headers[string(name)] = value
		}
	}
	if r.newKey {
		task.Headers["lovage_replay_key"] = task.ID
	}
	before, after := row.TaskID, task.ID
	if err := (store.Audit{Who: who, Why: why, Action: "ledger.replay", Subject: row.Task, Before: &before, After: &after, CorrelationID: row.CorrelationID}).Write(ctx, s.DB); err != nil {
		return "", err
	}
	_, err = c.Send(ctx, task)
	return task.ID, err
}
