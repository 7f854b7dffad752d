package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A Store keeps records in a SQLite file. Its methods may be called from many
// goroutines; those of [store.Store] are [sqlstore.Store]'s.
type Store struct {
	*sqlstore.Store
	writes, reads *sql.DB
}

var _ store.Store = (*Store)(nil)

// Open opens the SQLite file at path, and makes it if there is none. A new file
// can be read by its owner alone, since it tells who has keys; an existing one
// keeps its permissions, and may hold tables of the host's. The folder must
// exist. The path is a plain one, not a URI, and databases in memory are
// refused: package memstore is what they would be.
//
// Open fails when the file is not a SQLite database, cannot be written to, or
// was written by a later version of this package. It waits for other processes
// that are writing until ctx ends, but no longer than five seconds.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	s, err := connect(file)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// connect makes two pools. A single connection writes, so that writers queue
// here, each with its own deadline, where several connections would poll
// SQLite's lock; and since the others only read, which SQLite lets them do
// beside a writer, no reader waits in that queue.
func connect(file string) (*Store, error) {
	writes, err := sql.Open("sqlite", address(file, writing))
	if err != nil {
		return nil, err
	}
	reads, err := sql.Open("sqlite", address(file, reading))
	if err != nil {
		return nil, errors.Join(err, writes.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	writes.SetMaxOpenConns(1)
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	st, err := sqlstore.New(writes, sqlstore.SQLite, &sqlstore.Options{Reads: reads})
	if err != nil {
		return nil, errors.Join(err, reads.Close(), writes.Close())
	}
	return &Store{st, writes, reads}, nil
}

// prepare migrates before anything is read, since that waits while another
// process is making the same file.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := verify(ctx, s.writes, writing); err != nil {
		return err
	}
	return verify(ctx, s.reads, reading)
}

// Close closes the file. Later calls fail; one that is under way may go on for a
// while, and may still take effect. Closing twice is no error.
func (s *Store) Close() error {
	// The last connection to go folds the -wal file into the main one, and
	// those that only read may not.
	return errors.Join(s.reads.Close(), s.writes.Close())
}
