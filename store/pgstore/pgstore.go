package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// Options configure a Store. All other settings are in the data source name.
type Options struct {
	// Table is the name of the table, as in [sqlstore.Options]. Default
	// [sqlstore.DefaultTable].
	Table string

	// Schema is the schema of the tables, as in [sqlstore.Options]. It must exist.
	// By default, it is the schema in the search path that has the tables. If no
	// schema of the database has them, it is the first schema in the search path.
	Schema string

	// MaxConns is the maximum number of open connections. It must not be negative.
	// Zero means 10; by default, a server accepts 100 connections of all its
	// clients together. A pool_max_conns in the data source name overrides it. If
	// all connections are in use, a call waits for one until its context ends. The
	// Store's buses use one more connection to publish, and one for each Receive.
	MaxConns int

	// InsecureNoTLS allows connections without TLS to other hosts. Anyone who can
	// read the network traffic can then read the stored records, and anyone who can
	// change the traffic can make invalid keys work.
	InsecureNoTLS bool
}

// A Store keeps records in a PostgreSQL database. Its methods may be called from
// many goroutines, and many processes may share the tables. The methods of
// [store.Store] are those of [sqlstore.Store].
type Store struct {
	*sqlstore.Store
	pool    *pgxpool.Pool
	notices *pgxpool.Pool // one connection, with which a Bus publishes
	db      *sql.DB
	options Options
	lookups chan struct{} // holds an element for each Lookup that may use a connection
	found   atomic.Int64  // look-ups that the server has replied to
}

var _ store.Store = (*Store)(nil)

// Open connects to the server in the data source name, a URL or keywords and values
// as pgx and libpq accept them. It creates the tables if they do not exist. If opts is
// nil, the defaults are used. Parameters that the name does not set come from
// libpq's environment variables, such as PGHOST.
//
// Open returns an error if
//
//   - the name is empty or invalid, or allows a connection to another host without TLS;
//   - neither the name nor the environment names a host or a database;
//   - no host accepts a connection within connect_timeout, by default 5 s for each;
//   - the server is older than version 13, is read-only, or commits without waiting
//     for the disk;
//   - a pooler does not support transactions;
//   - a later version of sqlstore has written the tables;
//   - row-level security applies to the user, or [sqlstore.Store.Migrate] returns
//     another error.
//
// No error contains the password.
func Open(ctx context.Context, dsn string, opts *Options) (*Store, error) {
	s, err := open(ctx, dsn, opts)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, dsn string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	config, err := configure(dsn, opts)
	if err != nil {
		return nil, err
	}
	if err := config.adapt(ctx); err != nil {
		return nil, err
	}
	s, err := connect(ctx, config, opts)
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(ctx context.Context, c *config, opts *Options) (*Store, error) {
	pool, err := pgxpool.NewWithConfig(ctx, c.pool)
	if err != nil {
		return nil, err
	}
	notices, err := pgxpool.NewWithConfig(ctx, singleConn(pool.Config()))
	if err != nil {
		pool.Close()
		return nil, err
	}
	db := openDB(pool)
	st, err := sqlstore.New(db, sqlstore.PostgreSQL, &sqlstore.Options{Table: opts.Table, Schema: opts.Schema})
	if err != nil {
		pool.Close()
		notices.Close()
		return nil, errors.Join(err, db.Close())
	}
	lookups := make(chan struct{}, max(1, pool.Config().MaxConns-reservedConns))
	return &Store{Store: st, pool: pool, notices: notices, db: db, options: *opts, lookups: lookups}, nil
}

// reservedConns is the number of connections that Lookup leaves to other calls, so that
// revocations do not wait during a flood of unknown tokens.
const reservedConns = 2

// Lookup implements [store.Store]. It uses all connections of the pool but two. If
// other look-ups had all of these until ctx ended, it returns [store.ErrBusy], or an
// outage error if the server replied to none of them meanwhile.
func (s *Store) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	before := s.found.Load()
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	case <-ctx.Done():
		err := fmt.Errorf("pgstore: lookup: all %d connections for look-ups were in use: %w", cap(s.lookups), ctx.Err())
		if s.found.Load() > before {
			err = fmt.Errorf("%w: %w", store.ErrBusy, err)
		}
		return store.Record{}, err
	}
	r, err := s.Store.Lookup(ctx, d)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		s.found.Add(1)
	}
	return r, err
}

// singleConn returns a copy of the configuration for a single connection, which is
// opened on first use.
func singleConn(c *pgxpool.Config) *pgxpool.Config {
	c.MaxConns, c.MinConns, c.MinIdleConns = 1, 0, 0
	return c
}

// DB returns the database, for other tables in it, such as those of package sqlprovider.
// It uses the connections of the Store's pool: a transaction or an open [sql.Rows] holds
// one of them until it ends. The search path is that of the data source name, so
// [Options].Schema does not apply. DB is valid until [Store.Close], which closes it.
func (s *Store) DB() *sql.DB { return s.db }

// Close waits for the calls in progress and closes all connections. Later calls
// return an error. It is safe to call Close twice.
func (s *Store) Close() error {
	err := s.db.Close()
	s.pool.Close()
	s.notices.Close()
	return err
}
