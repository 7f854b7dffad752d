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
// goroutines, and from several processes on one machine. The methods of
// [store.Store] are those of [sqlstore.Store].
type Store struct {
	*sqlstore.Store
	writes, reads *sql.DB
}

var _ store.Store = (*Store)(nil)

// Open opens the SQLite file at path, or creates it. Only the user may read and
// write a new file, since it shows who has keys. An existing file keeps its
// permissions, and may hold other tables. The folder must exist. The path is a
// plain file path. Open refuses URIs, such as file:keys.db?mode=ro, and databases in
// memory; use package memstore instead.
//
// Open returns an error if the file is not a SQLite database, cannot be written, or
// was written by a later version of this package. If other processes are writing,
// Open waits until ctx ends, but at most 5 s.
func Open(ctx context.Context, path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("sqlitestore: the path is empty, want a file such as keys.db; is the environment variable set?")
	}
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

// connect opens two pools. One connection writes, so writers queue in this process,
// each with its own deadline; several connections would poll SQLite's lock. The
// other connections only read. SQLite allows reads during a write, so readers never
// wait in the queue.
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

// prepare migrates before it reads, since Migrate waits while another process is
// creating the same file.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := verify(ctx, s.writes, writing); err != nil {
		return err
	}
	return verify(ctx, s.reads, reading)
}

// DB returns the database, for other tables in the same file, such as those of package
// sqlprovider. It has one connection, on which the Store also writes. So a transaction or
// an open [sql.Rows] delays every write of the Store until it ends. Do not change the
// settings of the connection. DB is valid until [Store.Close], which closes it.
func (s *Store) DB() *sql.DB { return s.writes }

// Close closes the file. Later calls return an error. A call in progress may
// continue for a while, and may still take effect. It is safe to call Close twice.
func (s *Store) Close() error {
	// The last connection to close moves the contents of the -wal file into the
	// main file. A connection that only reads cannot, so writes is closed last.
	return errors.Join(s.reads.Close(), s.writes.Close())
}
