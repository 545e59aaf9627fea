package once

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/lovage-go/lovage/ledger"
	"github.com/lovage-go/lovage/lockutil"
	store "github.com/lovage-go/lovage/sql"
)

// Config says what the template works with.
type Config struct {
	// Store is the database that holds the effects; the schema must be there (store.Migrate).
	Store *store.Store
	// Locks is the Redis guard. nil: the database guards alone, which keeps every promise but that of not working twice at once.
	Locks *lockutil.Locker
	// Ledger takes a row per attempt. nil: none.
	Ledger *ledger.Writer
	// Modes are the access modes that exist; empty: any well-formed name.
	Modes []string
	// Logger is told of every attempt. Default none.
	Logger *zap.Logger
}

// Kit is what tasks on the template share. It is safe for concurrent use.
type Kit struct {
	config Config
	log    *zap.Logger
	claim  *sql.Stmt
	prior  *sql.Stmt
	finish *sql.Stmt
	// at, when set, is called at the named steps: for tests that kill the process there.
	at func(step string)
}

// New makes a Kit and prepares its statements.
func New(ctx context.Context, config Config) (*Kit, error) {
	if config.Store == nil {
		return nil, errors.New("make kit: it needs a Store")
	}
	if config.Logger == nil {
		config.Logger = zap.NewNop()
	}
	k := &Kit{config: config, log: config.Logger, at: func(string) {}}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{{&k.claim, claimEffect}, {&k.prior, readEffect}, {&k.finish, finishEffect}} {
		stmt, err := config.Store.DB.PrepareContext(ctx, s.text)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make kit (has lovage migrate up been run?): %w", err), k.Close())
		}
		*s.to = stmt
	}
	return k, nil
}

// Close frees the statements; store, locks and ledger are their owners'.
func (k *Kit) Close() error {
	var failures []error
	for _, stmt := range []*sql.Stmt{k.claim, k.prior, k.finish} {
		if stmt != nil {
			failures = append(failures, stmt.Close())
		}
	}
	return errors.Join(failures...)
}
