package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// Options adjust a Store. What is not here is said in the data source name.
type Options struct {
	// Table is the name of the table, as in [sqlstore.Options]; by default
	// [sqlstore.DefaultTable].
	Table string

	// Schema is the schema that the tables are in, as in [sqlstore.Options]. It
	// must be there already. By default it is the schema of the search path that
	// has the tables, or the first one if they are in no schema of the database.
	Schema string

	// MaxConns is the most connections that the Store has open at a time, by
	// default 10: the server admits 100 of all its clients together unless it
	// is told otherwise. A pool_max_conns in the data source name wins. Calls
	// that find no connection free wait for one until their context ends. Buses
	// of the Store have one more together, and one for each Receive.
	MaxConns int

	// InsecureNoTLS allows connections without TLS to hosts other than this one.
	// Anyone who can listen on the network then reads what is stored, and anyone
	// who can change what it carries can admit keys.
	InsecureNoTLS bool
}

// A Store keeps records in a PostgreSQL database. Its methods may be called
// from many goroutines, and many processes may share the tables; those of
// [store.Store] are [sqlstore.Store]'s.
type Store struct {
	*sqlstore.Store
	pool    *pgxpool.Pool
	notices *pgxpool.Pool // of one connection, by which a Bus publishes
	db      *sql.DB
	options Options
}

var _ store.Store = (*Store)(nil)

// Open connects to the server that the data source name tells, a URL or
// keywords and values as pgx and libpq read them, and creates the tables if
// they are not there. Nil Options are fine. What the name leaves open comes
// from the environment variables of libpq, PGHOST and so on.
//
// An empty name is an error.
//
// Open fails when the server cannot be reached within five seconds for each
// host (or the name's connect_timeout), is older than version 13, takes no
// writes, commits without waiting for the disk, or is behind a pooler without
// transactions, and when the tables were written by a later version of
// sqlstore. It fails when row-level security applies to the user, and for the
// other reasons that [sqlstore.Store.Migrate] has. No error shows the password.
func Open(ctx context.Context, dsn string, o *Options) (*Store, error) {
	s, err := open(ctx, dsn, o)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, dsn string, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	config, err := configure(dsn, o)
	if err != nil {
		return nil, err
	}
	if err := config.adapt(ctx); err != nil {
		return nil, err
	}
	s, err := connect(ctx, config, o)
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(ctx context.Context, c *config, o *Options) (*Store, error) {
	pool, err := pgxpool.NewWithConfig(ctx, c.pool)
	if err != nil {
		return nil, err
	}
	notices, err := pgxpool.NewWithConfig(ctx, ofOne(pool.Config()))
	if err != nil {
		pool.Close()
		return nil, err
	}
	db := openDB(pool)
	st, err := sqlstore.New(db, sqlstore.PostgreSQL, &sqlstore.Options{Table: o.Table, Schema: o.Schema})
	if err != nil {
		pool.Close()
		notices.Close()
		return nil, errors.Join(err, db.Close())
	}
	return &Store{st, pool, notices, db, *o}, nil
}

// ofOne is the same for a single connection, which is opened when it is first
// used.
func ofOne(c *pgxpool.Config) *pgxpool.Config {
	c.MaxConns, c.MinConns, c.MinIdleConns = 1, 0, 0
	return c
}

// Close closes the connections. Calls that are under way end first; later ones
// fail. Closing twice is no error.
func (s *Store) Close() error {
	err := s.db.Close()
	s.pool.Close()
	s.notices.Close()
	return err
}
