package sqlstore

import (
	"fmt"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// A Dialect is the name of a kind of database. Use one of the constants.
type Dialect string

const (
	// SQLite is SQLite 3.41 or later.
	SQLite Dialect = "sqlite"

	// PostgreSQL is PostgreSQL 13 or later.
	PostgreSQL Dialect = "postgresql"

	// MySQL is MySQL 8.0.16 or later, or MariaDB 10.6 or later.
	MySQL Dialect = "mysql"
)

// A dialect is what differs from one database to the next. In its statements
// the tables go by their default names and each parameter is a question mark.
type dialect struct {
	// schema holds the steps to version 1, 2 and so on. Each sets the version
	// itself, so that it can be run by hand as well.
	schema []string

	db *sqldb.Database

	// lock makes a transaction the only writer of an owner's rows, except for
	// their last use. Its parameters are the owner and an instant, to which it
	// moves the owner's latest instant if that is earlier. It returns the latest
	// instant, unless latest is a statement that reads it.
	lock, latest string

	// lockAgain says that a transaction whose lock was refused can ask for it
	// again, and so need not wait among all the others for a connection.
	lockAgain bool

	// unlessTaken ends an INSERT, and lets it insert nothing, without an
	// error, where a unique value is taken already. Empty where there is no
	// such thing.
	unlessTaken string

	// readBack says that what a statement wrote is read again, and not returned by
	// the statement itself.
	readBack bool

	// revoke locks, revokes a record and counts that, in one statement that goes
	// before a query of its tables "revoked" and "counted". Empty if the database has
	// no such statements.
	revoke string

	// Each of these follows the table's name in a query and makes the database use
	// an index: for a key by its digest or id, for a list of all or of ended keys,
	// for the keys that RevokeAll revokes, for the count of keys that were not
	// replaced and of those that were, and for a list of current keys.
	byDigest, byID, byList, byLive, byCount, byReplaced, byCurrent string

	// byExpiry orders a range of byCount or byReplaced as the index does, if that is
	// what makes the database use it.
	byExpiry string

	// endless begins the ORDER BY of keys whose expiry is NULL, if the database does
	// not know otherwise that the index has them in the order of a list.
	endless string

	// fence ends the subquery of current keys that expire. It keeps the database from
	// moving the outer conditions into the subquery, which would make a worse index
	// look better.
	fence string

	// inOrder ends a query of rows that the transaction goes on to change, and
	// locks them in the order in which Touch does.
	inOrder string

	// touch records a batch of uses, which it takes as one JSON array of
	// ["hexadecimal digest", microseconds], and locks rows in its order.
	touch string

	// prepare says that the driver sends a statement twice, to prepare it and
	// to run it, unless it was prepared before.
	prepare bool
}

// dialects are one to a file.
var dialects = map[Dialect]*dialect{SQLite: &sqlite, PostgreSQL: &postgres, MySQL: &mysql}

func (d Dialect) resolve() (*dialect, error) {
	if dialects[d] == nil {
		return nil, fmt.Errorf("sqlstore: unknown dialect %q", string(d))
	}
	return dialects[d], nil
}
