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
// package created up to date. Current ones are left alone, which takes no more
// rights than to read them. Any number of processes may call it at once. It
// fails when the tables are of a later version than this package knows or
// somebody else's, when the database cannot be written to, and when a setting
// of the connections would let records go wrong.
//
// The version is kept in a table of its own, named after the first one with
// the ending "_version", since the rest of the database is the host's.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.fit(ctx, s.writes)
	if err == nil && s.reads != s.writes {
		err = s.fit(ctx, s.reads)
	}
	if err != nil {
		return verb("migrate", err)
	}
	// Where this fails, most often because the table is not there yet, what
	// follows tells the reason.
	version, err := s.version(ctx, s.writes)
	if err != nil || version != len(s.dialect.schema) {
		err = s.dialect.alone(ctx, s, func(e execer) error { return s.migrate(ctx, e) })
	}
	if err == nil {
		err = s.ours(ctx)
	}
	return verb("migrate", err)
}

// ours fails when the table is another one that has the same name, as where
// MySQL did not create it since there was one.
func (s *Store) ours(ctx context.Context) error {
	_, err := one(s.writes.QueryRowContext(ctx, s.sql.lookup, []byte{}))
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
	for statement := range strings.SplitSeq(file, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := e.ExecContext(ctx, s.named(statement)); err != nil {
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
