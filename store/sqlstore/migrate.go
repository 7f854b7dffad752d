package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// Migrate creates the table, or brings one that an earlier version of this
// package created up to date; a current one is left alone. Any number of
// processes may call it at once. It fails when the table is of a later version
// than this package knows, and when the database cannot be written to.
//
// The version is kept in a table of its own, named after the other one with
// the ending "_version", since the rest of the database is the host's.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		version, err := s.lockVersion(ctx, tx)
		if err != nil {
			return err
		}
		return s.migrate(ctx, tx, version)
	})
	return verb("migrate", err)
}

// lockVersion writes before it reads, so that of several processes that meet
// here one goes first and the others see what it did.
func (s *Store) lockVersion(ctx context.Context, tx *sql.Tx) (version int, err error) {
	for _, statement := range []string{s.sql.createVersion, s.sql.noVersion} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	return version, tx.QueryRowContext(ctx, s.sql.version).Scan(&version)
}

func (s *Store) migrate(ctx context.Context, tx *sql.Tx, version int) error {
	newest := len(s.dialect.schema)
	if version < 0 || version > newest {
		return fmt.Errorf("table %s has schema version %d, this program knows versions up to %d", s.table, version, newest)
	}
	for _, step := range s.dialect.schema[version:] {
		if _, err := tx.ExecContext(ctx, s.named(step)); err != nil {
			return err
		}
	}
	if version == newest {
		return nil
	}
	_, err := tx.ExecContext(ctx, s.sql.versioned, newest)
	return err
}

func verb(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %s: %w", name, err)
}
