package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/keyhatch/keyhatch/store"
)

// Migrate creates the tables, or updates those that an earlier version of this package
// created. Call it before the first use. If the tables are up to date, it changes
// nothing and needs only the right to read them. Any number of processes may call it at
// once.
//
// It returns an error if
//   - the tables have a later version than this package knows, or were not created by
//     this package,
//   - the database cannot be written to,
//   - an index is invalid, since a CREATE INDEX CONCURRENTLY has failed,
//   - a setting of the connections, or an encoding, would corrupt records, or
//   - the database may leave out rows, since a key whose row is left out would be
//     refused as unknown. The reason may be row-level security, a view instead of a
//     table, a replica, or an [Options.Reads] that leads to another server.
//
// If Options name no schema, Migrate looks for the tables in the search path and uses
// the schema in which it finds them, for later connections too. If they are only in a
// schema outside the search path, Migrate returns an error and does not create them.
//
// The version is kept in a table of its own, whose name is the first table's name with
// the ending "_version", since the rest of the database belongs to the host.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.tables.RetryBusy(ctx, func() error { return s.prepare(ctx) })
	if err == nil {
		err = s.tables.Migrate(ctx)
	}
	if err == nil {
		err = s.tables.RetryBusy(ctx, func() error {
			return s.eachPool(func(pool *sql.DB) error { return s.checkReadable(ctx, pool) })
		})
	}
	return wrap("migrate", err)
}

// prepare checks the database before anything is created.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.eachPool(func(pool *sql.DB) error { return s.tables.CheckSettings(ctx, pool) }); err != nil {
		return err
	}
	if err := s.tables.CheckSame(ctx, s.writes.DB, s.reads.DB); err != nil {
		return err
	}
	if err := s.tables.Bind(ctx, s.rename); err != nil {
		return err
	}
	return s.eachPool(func(pool *sql.DB) error { return s.tables.CheckRows(ctx, pool) })
}

func (s *Store) eachPool(do func(*sql.DB) error) error {
	if err := do(s.writes.DB); err != nil || s.reads == s.writes {
		return err
	}
	return do(s.reads.DB)
}

// rename makes every statement name the schema that was found.
func (s *Store) rename() error {
	s.sql = s.statements()
	if stale := s.lookup.Swap(nil); stale != nil {
		return stale.Close() //nolint:sqlclosecheck // it was kept for all calls
	}
	return nil
}

// checkReadable returns an error if rows may be left out, or if the table is another one
// with the same name. MySQL, for example, does not create a table whose name exists.
func (s *Store) checkReadable(ctx context.Context, pool *sql.DB) error {
	if err := s.tables.CheckRows(ctx, pool); err != nil {
		return err
	}
	_, err := one(pool.QueryRowContext(ctx, s.sql.lookup, []byte{}))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("cannot read table %s: %w", s.tables.Names.Table, err)
}

// wrap adds the package and the operation to an error, which may be nil.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %s: %w", operation, err)
}
