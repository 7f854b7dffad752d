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

// DefaultTable is the name of the table where Options name none.
const DefaultTable = "keyhatch_keys"

// Options adjust a Store. The zero value is right for most.
type Options struct {
	// Table is the name of the table, by default [DefaultTable]: at most 48
	// lower-case letters, digits and underscores, not beginning with a digit.
	// Its indexes and the tables beside it, which hold the owners, the count of
	// revocations and the schema's version, are named after it, with the endings
	// "_list", "_live", "_replaced", "_current", "_owners", "_revocations" and "_version".
	// These are refused in the name itself, as are "_at", "_overrides" and
	// "_events", which package sqlprovider has.
	Table string

	// Schema is where the tables are: a schema of PostgreSQL, or a database of
	// MySQL, named as a table is. It must be there already. By default it is
	// the connection's own, or on PostgreSQL the schema of the search path in
	// which Migrate finds the tables. SQLite has none.
	Schema string

	// Reads is another pool of connections to the same database, for Lookup,
	// Get, List and Count; nil means the one that writes. It must see at once what
	// was committed through the other one: a replica lags, and would go on
	// admitting keys after they were revoked. Migrate returns an error if it leads
	// to another server, another database or another file.
	Reads *sql.DB
}

// A Store is a [store.Store] in a SQL database. Its methods may be called from
// many goroutines, and many processes may have a Store on the same table.
//
// It holds nothing but the pools it was given, which the host closes when the
// Store is no longer in use.
type Store struct {
	writes, reads *pool
	dialect       *dialect
	tables        *sqldb.Tables
	sql           statements
	lookup        atomic.Pointer[sql.Stmt]
	locked        atomic.Pointer[time.Time] // when a lock that can be asked for again was had last
}

var _ store.Store = (*Store)(nil)

// New returns a Store on db, which speaks the dialect d. Nil Options are fine.
// It does not connect; call [Store.Migrate] once before the first use.
func New(db *sql.DB, d Dialect, o *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: db is nil")
	}
	dialect, err := d.resolve()
	if err != nil {
		return nil, err
	}
	opts := o.withDefaults(db)
	if option, err := dialect.db.CheckNames(opts.Table, opts.Schema); err != nil {
		return nil, fmt.Errorf("sqlstore: %s: %w", option, err)
	}
	tables := &sqldb.Tables{Database: dialect.db, Pool: db, Steps: dialect.schema, Names: sqldb.Names{
		Default: DefaultTable, Table: opts.Table, Schema: opts.Schema,
		Tables: []string{"_owners", "_version", "_revocations"}, Indexes: []string{"_list", "_live", "_replaced", "_current"},
	}}
	s := &Store{writes: &pool{DB: db}, dialect: dialect, tables: tables}
	if s.reads = s.writes; opts.Reads != db {
		s.reads = &pool{DB: opts.Reads}
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
