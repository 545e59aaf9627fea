package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"go.uber.org/zap"

	store "github.com/lovage-go/lovage/sql"
)

// Config says how rows are written. The zero value works once Store is set.
type Config struct {
	Store *store.Store
	// Every is how long rows gather before they are written. Default 250 ms.
	Every time.Duration
	// Batch is the most rows of one INSERT. Default 2000.
	Batch int
	// Buffer is the most rows that wait in memory. Default 50000.
	Buffer int
	// Spill is the folder for rows that cannot be written now; it belongs to one process. Default: a folder of this process in the system's temporary one.
	Spill string
	// SpillBytes bounds the spill files together. Default 256 MiB.
	SpillBytes int64
	// KeepDays is how long rows are kept; older days are dropped. Default 90; negative: for ever.
	KeepDays int
	// Logger is told when the database goes and comes, and what is dropped. Default none.
	Logger *zap.Logger
}

// Stats counts rows.
type Stats struct {
	// Written rows are in the database, Spilled ones went through a file, Dropped ones are lost, Refused ones the database did not take.
	Written, Spilled, Dropped, Refused int64
}

// Writer takes rows and writes them. Start it, and Stop it when the worker has ended.
type Writer struct {
	config Config
	log    *zap.Logger
	spill  *spill

	mu   sync.Mutex
	open map[attempt]*opened // begun, not ended
	rows []*Row              // to be written, oldest first

	written, spilled, dropped, refused atomic.Int64

	wake   chan struct{}
	cancel context.CancelFunc
	ended  sync.WaitGroup
	// away and again are the flusher's: the database was away last time, and when it is asked again.
	away  bool
	again time.Time
}

type opened struct {
	row   Row
	since time.Time
	told  bool
}

// New makes a Writer.
func New(config Config) (*Writer, error) {
	if config.Store == nil {
		return nil, errors.New("make ledger: it needs a Store")
	}
	if config.Every <= 0 {
		config.Every = 250 * time.Millisecond
	}
	if config.Batch <= 0 {
		config.Batch = 2000
	}
	if config.Buffer <= 0 {
		config.Buffer = 50000
	}
	if config.SpillBytes <= 0 {
		config.SpillBytes = 256 << 20
	}
	if config.KeepDays == 0 {
		config.KeepDays = 90
	}
	if config.Spill == "" {
		config.Spill = filepath.Join(os.TempDir(), fmt.Sprintf("lovage-ledger-%d", os.Getpid()))
	}
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	w := &Writer{config: config, log: config.Logger, open: map[attempt]*opened{}, wake: make(chan struct{}, 1)}
	w.spill = &spill{folder: config.Spill, most: config.SpillBytes}
	return w, nil
}

// Stats tells what became of the rows so far.
func (w *Writer) Stats() Stats {
	return Stats{Written: w.written.Load(), Spilled: w.spilled.Load(), Dropped: w.dropped.Load(), Refused: w.refused.Load()}
}

// Begin notes that an attempt runs. The row is copied.
func (w *Writer) Begin(row *Row) {
	copied := *row
	copied.State = Running
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[row.attempt()] = &opened{row: copied, since: time.Now()}
}

// End takes the row of an attempt that has ended, and owns it from now on.
func (w *Writer) End(row *Row) {
	w.mu.Lock()
	delete(w.open, row.attempt())
	w.add(row)
	full := len(w.rows) >= w.config.Batch
	w.mu.Unlock()
	if full {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Add takes a row that has no beginning here: queued, or lost.
func (w *Writer) Add(row *Row) { w.End(row) }

func (w *Writer) add(row *Row) {
	if len(w.rows) >= w.config.Buffer {
		w.rows = w.rows[1:]
		w.dropped.Add(1)
	}
	w.rows = append(w.rows, row)
}

// Start begins to write.
func (w *Writer) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.ended.Go(func() { w.run(ctx) })
	w.ended.Go(func() { w.maintain(ctx) })
}

// Stop writes what is left, or spills it when the database is away, and returns when that is done.
func (w *Writer) Stop() error {
	w.cancel()
	w.ended.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w.flush(ctx)
	return w.spill.close()
}

func (w *Writer) run(ctx context.Context) {
	ticker := time.NewTicker(w.config.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		w.flush(ctx)
	}
}

// maintain makes partitions ahead and drops old ones, now and every hour.
func (w *Writer) maintain(ctx context.Context) {
	for {
		if _, err := w.config.Store.DB.ExecContext(ctx, "SELECT lovage.maintain_attempts($1)", max(0, w.config.KeepDays)); err != nil && ctx.Err() == nil {
			w.log.Warn("cannot look after the ledger's partitions; rows go to the default one", zap.Error(err))
		}
		select {
		case <-time.After(time.Hour):
		case <-ctx.Done():
			return
		}
	}
}

// take empties the buffer; attempts that have been running for a while come along, once each.
func (w *Writer) take() []*Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := w.rows
	w.rows = nil
	for _, o := range w.open {
		if !o.told && time.Since(o.since) > w.config.Every {
			o.told = true
			row := o.row
			rows = append(rows, &row)
		}
	}
	return rows
}

// flush writes what is there: the spilled first, so that rows come in their order. What cannot be written is spilled.
func (w *Writer) flush(ctx context.Context) {
	rows := w.take()
	for _, row := range rows {
		row.finish()
	}
	err := errAway
	if !w.away || ctx.Err() != nil || time.Now().After(w.again) {
		err = w.catchUp(ctx)
	}
	for len(rows) > 0 && err == nil {
		batch := rows[:min(len(rows), w.config.Batch)]
		if err = w.insert(ctx, batch); err == nil {
			rows = rows[len(batch):]
		}
	}
	w.report(err)
	if len(rows) == 0 {
		return
	}
	lost, spillErr := w.spill.write(rows)
	w.spilled.Add(int64(len(rows)))
	if lost > 0 {
		w.dropped.Add(int64(lost))
		w.log.Error("the ledger's spill files are full: the oldest rows are dropped", zap.Int("rows", lost), zap.Int64("dropped_in_all", w.dropped.Load()))
	}
	if spillErr != nil {
		w.dropped.Add(int64(len(rows)))
		w.log.Error("the ledger's rows can neither be written nor spilled, and are dropped", zap.Int("rows", len(rows)), zap.Error(spillErr))
	}
}

// errAway stands for the failure of a moment ago.
var errAway = errors.New("the database was away a moment ago")

func (w *Writer) report(err error) {
	if err != nil && !errors.Is(err, errAway) {
		w.again = time.Now().Add(time.Second)
	}
	switch {
	case err != nil && !w.away:
		w.log.Warn("the ledger's database is away; rows are spilled", zap.String("folder", w.config.Spill), zap.Error(err))
	case err == nil && w.away:
		w.log.Info("the ledger's database is back, and has all rows", zap.Int64("dropped", w.dropped.Load()))
	}
	w.away = err != nil
}

// catchUp writes the spilled rows, a file at a time.
func (w *Writer) catchUp(ctx context.Context) error {
	for {
		rows, done, err := w.spill.oldest()
		if err != nil || rows == nil {
			return err
		}
		for len(rows) > 0 {
			batch := rows[:min(len(rows), w.config.Batch)]
			if err := w.insert(ctx, batch); err != nil {
				return err
			}
			rows = rows[len(batch):]
		}
		if err := done(); err != nil {
			return err
		}
	}
}

// The rows of one attempt may come twice (running and ended; or again after an error whose outcome is not known): a final state stays.
const insertRows = `INSERT INTO lovage.attempts AS a SELECT * FROM json_populate_recordset(NULL::lovage.attempts, $1::json)
ON CONFLICT (day, task_id, retries, delivery) DO UPDATE SET
  state = excluded.state, reused = excluded.reused, worker = excluded.worker, queue = excluded.queue, queued_at = coalesce(excluded.queued_at, a.queued_at),
  started_at = excluded.started_at, finished_at = excluded.finished_at, queue_ms = coalesce(excluded.queue_ms, a.queue_ms), run_ms = excluded.run_ms,
  correlation_id = excluded.correlation_id, trace_id = excluded.trace_id, access_mode = excluded.access_mode, region_scope = excluded.region_scope,
  region_code = excluded.region_code, time_from = excluded.time_from, time_to = excluded.time_to, data_type = excluded.data_type, weather_type = excluded.weather_type,
  product_id = excluded.product_id, prediction_run_id = excluded.prediction_run_id, effect_key = excluded.effect_key,
  lock_key = excluded.lock_key, lock_result = excluded.lock_result, lock_release = excluded.lock_release, lock_number = excluded.lock_number,
  lock_waited_ms = excluded.lock_waited_ms, lock_held_ms = excluded.lock_held_ms, rows_written = excluded.rows_written, cache_keys = excluded.cache_keys,
  error_class = excluded.error_class, error_code = excluded.error_code, error_message = excluded.error_message, stack = excluded.stack
WHERE a.state IN ('queued', 'running') OR a.state = 'lost' AND excluded.state <> 'running'`

// insert writes a batch. When the database refuses its content the rows are written one by one, and those that it refuses are counted: they would stop all others for ever.
func (w *Writer) insert(ctx context.Context, rows []*Row) error {
	err := w.insertOnce(ctx, rows)
	if !contentRefused(err) {
		return err
	}
	if len(rows) == 1 {
		w.refused.Add(1)
		w.log.Error("the database does not take a row of the ledger", zap.String("task_id", rows[0].TaskID), zap.Error(err))
		return nil
	}
	for _, row := range rows {
		if err := w.insert(ctx, []*Row{row}); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) insertOnce(ctx context.Context, rows []*Row) error {
	text, err := json.Marshal(latest(rows))
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := w.config.Store.DB.ExecContext(ctx, insertRows, string(text)); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	w.written.Add(int64(len(rows)))
	return nil
}

// latest keeps the last row of each attempt: one INSERT cannot touch a row twice.
func latest(rows []*Row) []*Row {
	last := make(map[attempt]int, len(rows))
	for i, row := range rows {
		last[row.attempt()] = i
	}
	if len(last) == len(rows) {
		return rows
	}
	kept := make([]*Row, 0, len(last))
	for i, row := range rows {
		if last[row.attempt()] == i {
			kept = append(kept, row)
		}
	}
	return kept
}

// contentRefused tells that the database has looked at the rows and does not want them: classes 22 (data) and 23 (constraints), and 54 (limits).
func contentRefused(err error) bool {
	var failure *pq.Error
	if !errors.As(err, &failure) {
		return false
	}
	class := failure.Code.Class()
	return class == "22" || class == "23" || class == "54"
}
