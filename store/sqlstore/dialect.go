package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// A Dialect is the name of a kind of database. Use one of the constants.
type Dialect string

// SQLite is SQLite 3.41 or later.
const SQLite Dialect = "sqlite"

// A dialect is what differs from one database to the next. In its statements
// the table goes by its default name and each parameter is a question mark.
type dialect struct {
	// schema holds the steps to version 1, 2 and so on.
	schema []string

	// isolation is what write transactions ask for.
	isolation sql.IsolationLevel

	// placeholder stands for the nth parameter of a statement, from 1.
	placeholder func(n int) string

	// lock makes tx the only writer of the owner's rows until it ends. The
	// owner is empty for a batch of uses, which is of many owners.
	lock func(ctx context.Context, tx *sql.Tx, table, owner string) error

	// busy tells that a transaction failed because of another one, was rolled
	// back, and may succeed when it is run again.
	busy func(error) bool

	// unlessTaken ends an INSERT, and lets it insert nothing, without an
	// error, where a unique value is taken already.
	unlessTaken string

	// touch records a batch of uses, which it takes as one JSON array of
	// ["hexadecimal digest", microseconds] in the order of the digests.
	touch string
}

func (d Dialect) resolve() (*dialect, error) {
	if d != SQLite {
		return nil, fmt.Errorf("sqlstore: unknown dialect %q", string(d))
	}
	return &sqlite, nil
}
