// Package sqlstore keeps keyhatch's records in a SQL database that the host
// already has, through [database/sql]. It imports no driver: the host opens
// the *sql.DB, says which [Dialect] the database speaks, and remains the one
// who closes it.
//
//	st, err := sqlstore.New(db, sqlstore.SQLite, nil)
//	err = st.Migrate(ctx)
//	keys, err := apikey.New(st, nil)
//
// If you have no database yet, package sqlitestore opens one that needs none of
// the care described here. The tests of this package are there, since they need a
// driver.
//
// # SQLite
//
// SQLite 3.41 or later is needed. These settings belong in the data source
// name, so that every connection of the pool gets them:
//
//   - journal_mode(WAL): readers do not wait for the writer, nor it for them.
//   - synchronous(FULL): what was acknowledged survives a power cut. NORMAL
//     loses the last transactions then, revocations among them, though a crash
//     of the process alone loses nothing.
//   - busy_timeout(100): milliseconds that the database itself waits for a
//     lock. SQLite does not notice a cancelled context while it waits, so keep
//     it short; this package waits on with an eye on the context, up to five
//     seconds in all.
//
// Every write takes the write lock first, whatever _txlock says, so that none
// fails halfway because another came between. Give the writes a pool of their
// own with SetMaxOpenConns(1), and the reads another one, see [Options.Reads]:
// writers then queue in Go instead of polling a file lock. A database in memory
// must have one connection in all, since each connection has its own database.
//
// Waiting for a lock depends on the driver's errors having a method Code() int
// that answers SQLite's result code, as modernc.org/sqlite's have. With others
// a locked database is reported at once, or after their own busy timeout.
//
// # Errors
//
// What is none of the sentinels of package store is an outage. A write that
// failed so may have happened; nothing is tried again once a commit was sent.
// A row that does not hold a record, because something else wrote to the table,
// is an error too.
package sqlstore
