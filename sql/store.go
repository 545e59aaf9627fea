package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // the driver
)

// Store is a database with Lovage's schema. It is safe for concurrent use.
type Store struct {
	// DB is the pool of connections, for a user's own statements as well.
	DB *sqlx.DB
}

// Open connects to a database by its URL (postgres://...) and checks that it answers. Connections take part in no more than 32 at once; change it on DB.
func Open(ctx context.Context, dsn string) (*Store, error) {
	dsn = withDefaults(dsn)
	db, err := sqlx.Open("postgres", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	return &Store{DB: db}, nil
}

// withDefaults adds a name and timeouts to a URL that has none, so that a server that is gone is noticed.
func withDefaults(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return dsn
	}
	q := u.Query()
	for name, value := range map[string]string{"application_name": "lovage", "connect_timeout": "5"} {
		if !q.Has(name) {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Close ends all connections.
func (s *Store) Close() error { return s.DB.Close() }

// Querier runs statements: a *sql.DB, a *sql.Tx, or sqlx' forms of them.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
