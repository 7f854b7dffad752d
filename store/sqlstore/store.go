package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store"
)

// DefaultTable is the name of the table if Options name none.
const DefaultTable = "keyhatch_keys"

// Options configure a [Store]. The zero value suits most hosts.
type Options struct {
	// Table is the name of the table, by default [DefaultTable]: at most 48 lower-case
	// letters, digits and underscores, not beginning with a digit. Its indexes and its
	// companion tables, which hold the owners, the count of revocations and the schema's
	// version, are named after it, with the endings "_list", "_live", "_replaced",
	// "_current", "_owners", "_revocations" and "_version". The name itself must not end
	// in one of these, nor in "_records", "_overrides", "_rejected", "_events", "_at",
	// "_owner", "_parent" or "_customer", which package sqlprovider uses.
	Table string

	// Schema is the schema of the tables on PostgreSQL, or their database on MySQL. It
	// has the same form as Table and must exist. By default it is the connection's own,
	// or on PostgreSQL the schema of the search path in which Migrate finds the tables.
	// It must be empty for SQLite.
	Schema string

	// Reads is another pool of connections to the same database, for Lookup, Get, List
	// and Count. Nil means the pool that writes. Reads must see every committed write at
	// once: with a replica, which lags, revoked keys would still be accepted. Migrate
	// returns an error if Reads leads to another server, another database or another
	// file.
	Reads *sql.DB
}

// A Store is a [store.Store] in a SQL database. Its methods may be called from
// many goroutines, and many processes may have a Store on the same table.
//
// A Store has no resources of its own. The host closes the pools when the Store is no
// longer in use.
type Store struct {
	writes, reads *sqldb.Pool
	dialect       *dialect
	tables        *sqldb.Tables
	sql           statements
	lookup        atomic.Pointer[sql.Stmt]
	locked        atomic.Pointer[time.Time] // when lock last got a lock after waiting for it
}

var _ store.Store = (*Store)(nil)

// New returns a Store on db, a database of the dialect d. If opts is nil, the defaults
// are used. New does not connect. Call [Store.Migrate] once before the first use.
func New(db *sql.DB, d Dialect, opts *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: db is nil")
	}
	dialect, err := d.resolve()
	if err != nil {
		return nil, err
	}
	o := opts.withDefaults(db)
	if option, err := dialect.db.CheckNames(o.Table, o.Schema); err != nil {
		return nil, fmt.Errorf("sqlstore: new: invalid %s: %w", option, err)
	}
	tables := &sqldb.Tables{Database: dialect.db, Pool: db, Steps: dialect.schema, Names: sqldb.Names{
		Default: DefaultTable, Table: o.Table, Schema: o.Schema,
		Tables: []string{"_owners", "_version", "_revocations"}, Indexes: []string{"_list", "_live", "_replaced", "_current"},
	}}
	s := &Store{writes: sqldb.NewPool(db), dialect: dialect, tables: tables}
	if s.reads = s.writes; o.Reads != db {
		s.reads = sqldb.NewPool(o.Reads)
	}
	s.sql = s.statements()
	return s, nil
}

// Schema returns the schema of PostgreSQL or the database of MySQL that statements name:
// Options.Schema, or else the one that [Store.Migrate] has found. It returns "" if
// there is neither.
func (s *Store) Schema() string { return s.tables.Schema() }

func (o *Options) withDefaults(db *sql.DB) Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Table == "" {
		opts.Table = DefaultTable
	}
	if opts.Reads == nil {
		opts.Reads = db
	}
	return opts
}
