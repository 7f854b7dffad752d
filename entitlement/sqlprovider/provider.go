package sqlprovider

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// DefaultTable is the table's name if Options name none.
const DefaultTable = "keyhatch_plans"

const defaultPoll = time.Second

// Options configure a Provider. The zero value suits most hosts.
type Options struct {
	// Table is the name of the table: at most 48 lower-case letters, digits and
	// underscores, not beginning with a digit. The default is [DefaultTable].
	// The other tables and the indexes have this name with an ending: "_records",
	// "_overrides", "_rejected", "_events", "_version", "_at", "_owner", "_parent" or
	// "_customer". The name itself must not have these endings, nor "_list", "_live",
	// "_replaced", "_current", "_owners" and "_revocations", which package sqlstore
	// uses.
	Table string

	// Schema is the schema of the tables on PostgreSQL, or their database on
	// MySQL. It has the same form as Table and must exist. By default it is the
	// connection's own, or on PostgreSQL the schema of the search path in which
	// Migrate finds the tables. It must be empty for SQLite.
	Schema string

	// Poll is the pause of [Provider.Watch] between two queries for changed
	// rows. The default is one second. If it is negative, Watch does not poll,
	// and a change takes effect when Manager.InvalidateOwner is called, or within
	// the longer of the Manager's CacheTTL and StaleIfError. A negative Poll is
	// sensible if there is a bus and every writer calls InvalidateOwner, as package
	// webhook does.
	Poll time.Duration
}

// A Provider is an [entitlement.Watcher] on a SQL database. Its methods may be
// called from many goroutines, and many processes may use the same table.
//
// A call that fails because of other statements, such as a deadlock or a busy
// SQLite file, is retried for up to 5 seconds. A write takes at most 20 seconds
// and a poll of Watch at most 10. Other calls are bounded only by their context.
//
// A Provider has no resources of its own. The host closes the pool when the Provider
// is no longer in use.
type Provider struct {
	tables  *sqldb.Tables
	pool    *sqldb.Pool
	dialect *dialect
	catalog *entitlement.Catalog
	poll    time.Duration
	sql     statements
}

var _ entitlement.Watcher = (*Provider)(nil)

// New returns a Provider of the catalog's plans on db, a database of the
// dialect d. The Options may be nil. New does not connect. Call
// [Provider.Migrate] once before the first use. New returns an
// [*entitlement.InvalidError] if db or catalog is nil, d is unknown, or an option is
// invalid.
func New(db *sql.DB, d sqlstore.Dialect, catalog *entitlement.Catalog, opts *Options) (*Provider, error) {
	if db == nil {
		return nil, wrap("new", invalid("db", errors.New("must not be nil")))
	}
	if catalog == nil {
		return nil, wrap("new", invalid("catalog", errors.New("must not be nil")))
	}
	dialect := dialects[d]
	if dialect == nil {
		return nil, wrap("new", invalid("dialect", fmt.Errorf("unknown dialect %q", string(d))))
	}
	options := opts.withDefaults()
	if option, err := dialect.db.CheckNames(options.Table, options.Schema); err != nil {
		return nil, wrap("new", invalid(option, err))
	}
	tables := &sqldb.Tables{Database: dialect.db, Pool: db, Steps: dialect.schema, Names: sqldb.Names{
		Default: DefaultTable, Table: options.Table, Schema: options.Schema,
		Tables:  []string{"_overrides", "_events", "_version", "_records", "_rejected"},
		Indexes: []string{"_overrides_at", "_events_at", "_records_at", "_rejected_at", "_owner", "_parent", "_customer", "_at"},
	}}
	return &Provider{tables: tables, pool: sqldb.NewPool(db), dialect: dialect, catalog: catalog, poll: options.Poll, sql: newStatements(dialect, tables)}, nil
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Table == "" {
		opts.Table = DefaultTable
	}
	if opts.Poll == 0 {
		opts.Poll = defaultPoll
	}
	return opts
}

// wrap adds the package and the operation to an error, which may be nil.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlprovider: %s: %w", operation, err)
}

// invalid returns an [*entitlement.InvalidError], or nil if err is nil.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}
	return &entitlement.InvalidError{Field: field, Err: err}
}
