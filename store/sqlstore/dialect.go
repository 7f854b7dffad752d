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

// A dialect holds the differences between databases. Its statements use the tables'
// default names, and question marks as placeholders.
type dialect struct {
	// schema holds the steps to version 1, 2 and so on; see [sqldb.Tables].
	schema []string

	db *sqldb.Database

	// lock makes a transaction the only writer of an owner's rows, except for last
	// uses. Its parameters are the owner and an instant. It advances the owner's latest instant
	// to the given instant if that is later, and returns the owner's latest instant. If lock
	// cannot return that, the latest statement reads it.
	lock, latest string

	// lockAgain reports whether a transaction that did not get the lock can try again,
	// so that it need not give up its connection.
	lockAgain bool

	// unlessTaken ends an INSERT so that it inserts nothing, without an error, if a
	// unique value already exists. It is empty if readBack is set or the database has no
	// such clause.
	unlessTaken string

	// readBack reports whether written rows are read again, since the statement itself
	// cannot return them as they are stored.
	readBack bool

	// revoke locks the owner, revokes a record and counts the revocation. A query of its
	// tables "revoked" and "counted" must follow, as one statement with it. It is empty
	// if the database has no such statements.
	revoke string

	// Each of these follows the table's name in a query and makes the database use an index. They
	// are for a key by its digest or id, for a list of all keys or of ended keys, for the keys
	// that RevokeAll revokes, for the counts of keys that were not replaced and of replaced keys,
	// and for a list of current keys.
	byDigest, byID, byList, byUnrevoked, byCount, byReplaced, byCurrent string

	// byExpiry is an ORDER BY clause with the order of the indexes of byCount and byReplaced. It
	// is empty if the database uses these indexes without it.
	byExpiry string

	// endless begins the ORDER BY of keys whose expiry is NULL. It is empty if the database uses
	// the order of the index even without it.
	endless string

	// fence ends the subquery of current keys that expire. It keeps the database from
	// moving the outer conditions into the subquery, since it would then choose a worse
	// index.
	fence string

	// inOrder is the end of a query for rows that the transaction will change. With it, the query
	// locks the rows in the same order as Touch.
	inOrder string

	// touch records a batch of uses. Its parameter is a JSON array of
	// ["hexadecimal digest", microseconds]. It locks rows in the order of the array.
	touch string

	// prepare reports whether the driver needs two round trips for a statement that is
	// not prepared yet.
	prepare bool
}

// dialects holds the dialects of all supported databases.
var dialects = map[Dialect]*dialect{SQLite: &sqlite, PostgreSQL: &postgres, MySQL: &mysql}

func (d Dialect) resolve() (*dialect, error) {
	if dialects[d] == nil {
		return nil, fmt.Errorf("sqlstore: unknown dialect %q", string(d))
	}
	return dialects[d], nil
}
