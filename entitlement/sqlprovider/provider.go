package sqlprovider

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// DefaultTable is the name of the table where Options name none.
const DefaultTable = "keyhatch_plans"

const defaultPoll = time.Second

// What is longer than 63 bytes PostgreSQL cuts off, endings included.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// Without these no two tables get in each other's way, those of package sqlstore
// included.
var endings = regexp.MustCompile(`_(at|overrides|events|version|list|live|replaced|owners|revocations)$`)

// Options adjust a Provider. The zero value is right for most.
type Options struct {
	// Table is the name of the table, by default [DefaultTable]: at most 48
	// lower-case letters, digits and underscores, not beginning with a digit.
	// Its index and the tables beside it, which hold the overrides, the events
	// and the schema's version, are named after it, with the endings "_at",
	// "_overrides", "_events" and "_version". These are refused in the name
	// itself, as are "_list", "_live", "_replaced", "_owners" and
	// "_revocations", which package sqlstore has.
	Table string

	// Schema is where the tables are: a schema of PostgreSQL, or a database of
	// MySQL, named as a table is. It must be there already. By default it is
	// the connection's own, or on PostgreSQL the schema of the search path in
	// which Migrate finds the tables. SQLite has none.
	Schema string

	// Poll is how long [Provider.Watch] pauses before it asks the database
	// again what was written, by default a second. With a negative one it
	// does not ask, and changes are seen when Manager.OwnerChanged is called or
	// its CacheTTL is over; that is enough where there is a bus and whoever
	// writes calls it, as package webhook does.
	Poll time.Duration
}

// A Provider is an [entitlement.Watcher] on a SQL database. Its methods may be
// called from many goroutines, and many processes may have a Provider on the
// same table.
//
// It holds nothing but the pool it was given, which the host closes when the
// Provider is no longer in use.
type Provider struct {
	db            *sql.DB
	dialect       *dialect
	catalog       *entitlement.Catalog
	schema, table string
	found         bool // the schema, by Migrate
	binding       sync.Mutex
	poll          time.Duration
	sql           statements
}

var _ entitlement.Watcher = (*Provider)(nil)

// New returns a Provider of the catalog's plans on db, which speaks the dialect
// d. Nil Options are fine. It does not connect; call [Provider.Migrate] once
// before the first use.
func New(db *sql.DB, d sqlstore.Dialect, catalog *entitlement.Catalog, o *Options) (*Provider, error) {
	if db == nil {
		return nil, errors.New("sqlprovider: db is nil")
	}
	if catalog == nil {
		return nil, errors.New("sqlprovider: catalog is nil")
	}
	dialect := dialects[d]
	if dialect == nil {
		return nil, fmt.Errorf("sqlprovider: unknown dialect %q", string(d))
	}
	opts := o.withDefaults()
	if err := opts.validate(d, dialect); err != nil {
		return nil, err
	}
	p := &Provider{db: db, dialect: dialect, catalog: catalog, schema: opts.Schema, table: opts.Table, poll: opts.Poll}
	p.sql = p.statements()
	return p, nil
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

func (o Options) validate(name sqlstore.Dialect, d *dialect) error {
	switch {
	case !tableName.MatchString(o.Table):
		return fmt.Errorf("sqlprovider: Options.Table: %q does not match %s", o.Table, tableName)
	case endings.MatchString(o.Table):
		return fmt.Errorf("sqlprovider: Options.Table: %q has an ending that the names of keyhatch's other tables and indexes have", o.Table)
	case o.Schema != "" && (!d.schemas || !tableName.MatchString(o.Schema)):
		return fmt.Errorf("sqlprovider: Options.Schema: %q is not a name that %s takes", o.Schema, name)
	}
	return nil
}

func verb(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlprovider: %s: %w", name, err)
}
