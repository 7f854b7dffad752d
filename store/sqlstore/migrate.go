package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/keyhatch/keyhatch/store"
)

// Migrate creates the tables, or brings those that an earlier version of this
// package created up to date. Call it before the first use. It leaves current
// tables alone, which takes no more rights than to read them. Any number of
// processes may call it at once.
//
// It returns an error if the tables are of a later version than this package
// knows or somebody else's, if the database cannot be written to, and if a
// setting of the connections or an encoding would let records go wrong. It also
// returns an error if the database may leave out rows, since a key whose row is
// left out would be refused as unknown: because of row-level security, a view
// in a table's place, a server that is a replica, or [Options.Reads] that lead
// to another server.
//
// If Options name no schema, Migrate looks for the tables in the search path
// and keeps to the schema in which it finds them, whatever the search path of
// later connections is. It does not create them if they are in a schema outside
// the search path.
//
// The version is kept in a table of its own, named after the first one with
// the ending "_version", since the rest of the database is the host's.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.patiently(ctx, func() error { return s.prepare(ctx) }); err != nil {
		return verb("migrate", err)
	}
	// If this fails, most often because the table is not there yet, the next
	// step returns the reason.
	version, err := s.version(ctx, s.writes)
	if err != nil || version != len(s.dialect.schema) {
		err = s.dialect.alone(ctx, s, func(e execer) error { return s.migrate(ctx, e) })
	}
	if err == nil {
		err = s.patiently(ctx, func() error {
			return s.each(func(pool *sql.DB) error { return s.ours(ctx, pool) })
		})
	}
	return verb("migrate", err)
}

// prepare looks at what is there before anything is created.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.each(func(pool *sql.DB) error { return s.fit(ctx, pool) }); err != nil {
		return err
	}
	if err := s.dialect.db.CheckSame(ctx, s.writes.DB, s.reads.DB); err != nil {
		return err
	}
	if err := s.bind(ctx); err != nil {
		return err
	}
	return s.each(func(pool *sql.DB) error { return s.check(ctx, pool) })
}

func (s *Store) each(do func(*sql.DB) error) error {
	if err := do(s.writes.DB); err != nil || s.reads == s.writes {
		return err
	}
	return do(s.reads.DB)
}

// bind names the tables' schema in every statement from now on. Otherwise a
// connection with another search path, or a temporary table, would lead to other
// tables.
func (s *Store) bind(ctx context.Context) error {
	s.binding.Lock()
	defer s.binding.Unlock()
	if s.schema != "" {
		return nil
	}
	schema, err := s.dialect.db.Home(ctx, s.writes.DB, s.table)
	if err != nil {
		return err
	}
	s.schema, s.found = schema, true
	s.sql = s.statements()
	if stale := s.lookup.Swap(nil); stale != nil {
		return stale.Close() //nolint:sqlclosecheck // it was kept for all calls
	}
	return nil
}

// check returns an error if the database may leave out rows of the tables that
// are there.
func (s *Store) check(ctx context.Context, pool *sql.DB) error {
	return s.dialect.db.Check(ctx, pool, s.schema, s.table, s.table+"_owners", s.table+"_version", s.table+"_revocations")
}

// ours returns an error if rows may be left out, and if the table is another one
// that has the same name, as when MySQL did not create it since there was one.
func (s *Store) ours(ctx context.Context, pool *sql.DB) error {
	if err := s.check(ctx, pool); err != nil {
		return err
	}
	_, err := one(pool.QueryRowContext(ctx, s.sql.lookup, []byte{}))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("table %s cannot be read: %w", s.table, err)
}

// fit fails when a setting of the pool's connections is wrong.
func (s *Store) fit(ctx context.Context, pool *sql.DB) error {
	if s.dialect.unfit == "" {
		return nil
	}
	var reason sql.NullString
	if err := pool.QueryRowContext(ctx, s.dialect.unfit).Scan(&reason); err != nil {
		return err
	}
	if reason.Valid {
		return errors.New(reason.String)
	}
	return nil
}

// Connections and transactions can be told.
type execer interface {
	queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// aloneInTransaction migrates in a transaction that begins with a statement
// for which others wait.
func aloneInTransaction(lock string) func(context.Context, *Store, func(execer) error) error {
	return func(ctx context.Context, s *Store, do func(execer) error) error {
		return s.transact(ctx, func(tx *sql.Tx) error {
			if lock != "" {
				if _, err := tx.ExecContext(ctx, s.text(lock)); err != nil {
					return err
				}
			}
			return do(tx)
		})
	}
}

func (s *Store) migrate(ctx context.Context, e execer) error {
	version, err := s.lockVersion(ctx, e)
	if err != nil {
		return err
	}
	newest := len(s.dialect.schema)
	if version < 0 || version > newest {
		return fmt.Errorf("table %s has schema version %d, this program knows versions up to %d", s.table, version, newest)
	}
	if version == 0 && s.found { // another process may have created the tables elsewhere by now
		if _, err := s.dialect.db.Home(ctx, e, s.table); err != nil {
			return err
		}
	}
	for ; version < newest; version++ {
		if err := s.run(ctx, e, s.dialect.schema[version]); err != nil {
			return fmt.Errorf("from schema version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

// lockVersion writes before it reads the version, so that of several processes
// that meet here one goes first and the others see what it did. Where another one
// came between its two statements, SQLite refuses the second, and all is run again.
func (s *Store) lockVersion(ctx context.Context, e execer) (version int, err error) {
	for _, statement := range []string{s.sql.createVersion, s.sql.noVersion} {
		if _, err := e.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	return s.version(ctx, e)
}

func (s *Store) version(ctx context.Context, q queryer) (version int, err error) {
	err = q.QueryRowContext(ctx, s.sql.version).Scan(&version)
	return version, err
}

// run sends the statements of a file one by one: not every driver takes
// several at once.
func (s *Store) run(ctx context.Context, e execer, file string) error {
	schema := s.schema
	if !s.dialect.schemas { // SQLite creates an index beside its table, and refuses to be told where that is
		schema = ""
	}
	for statement := range strings.SplitSeq(file, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		_, err := e.ExecContext(ctx, s.named(schema, statement))
		if err != nil && (s.dialect.made == nil || !s.dialect.made(err)) {
			return err
		}
	}
	return nil
}

func verb(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %s: %w", name, err)
}
