package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/lovage-go/lovage/lockutil"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"at"`
}

// Migrate brings the schema to the newest version. Of several that start at once one does the work, and the others wait for it.
func Migrate(ctx context.Context, db *sql.DB) error {
	return withProvider(ctx, db, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// MigrateDown takes the last step back. What was in its tables is gone.
func MigrateDown(ctx context.Context, db *sql.DB) error {
	return withProvider(ctx, db, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		return err
	})
}

// Migrations lists the steps and which of them the database has.
func Migrations(ctx context.Context, db *sql.DB) ([]Migration, error) {
	var list []Migration
	err := withProvider(ctx, db, func(p *goose.Provider) error {
		steps, err := p.Status(ctx)
		for _, s := range steps {
			list = append(list, Migration{Version: s.Source.Version, Name: s.Source.Path, Applied: s.State == goose.StateApplied, At: s.AppliedAt})
		}
		return err
	})
	return list, err
}

// withProvider runs goose under an advisory lock, which also covers the schema that goose's own table lives in.
func withProvider(ctx context.Context, db *sql.DB, do func(*goose.Provider) error) (err error) {
	lock, err := lockutil.LockAdvisory(ctx, db, "lovage.migrate")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Release(ctx)) }()
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS lovage"); err != nil {
		return fmt.Errorf("migrate: make the schema lovage: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("lovage.schema_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := do(p); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
