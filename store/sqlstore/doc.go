// Package sqlstore keeps keyhatch's records in a SQL database that the host
// already has, through [database/sql]. It imports no driver: the host opens
// the *sql.DB, says which [Dialect] the database speaks, and remains the one
// who closes it.
//
//	st, err := sqlstore.New(db, sqlstore.PostgreSQL, nil)
//	err = st.Migrate(ctx)
//	keys, err := apikey.New(st, nil)
//
// Package sqlitestore opens a SQLite file, and package pgstore a pool of
// PostgreSQL connections, with all the care described here. The tests of this
// package are there and in internal/integration/databases, since they need drivers.
//
// # Tables
//
// [Store.Migrate] creates the tables and keeps them up to date. A migration tool of
// your own can run the files in the folder schema instead: one folder for each
// dialect, one file for each version. Change the tables' names in them if [Options]
// do. Call Migrate nevertheless. It then changes nothing, refuses connections whose
// settings would let records go wrong, and names the schema of the tables in every
// statement from then on. Without it, each connection goes by its own search path.
//
// Migrate needs the right to create tables and indexes. Other calls need SELECT,
// INSERT and UPDATE, and on SQLite the whole file.
//
// Programs of an earlier version keep working while Migrate runs and after it. Version
// 2 adds the latest instant of each owner and an index of the keys. Version 3 adds a
// small table and locks no other. Version 4 adds an index of the keys. A migration
// from version 1 to 4 of 1,000,000 keys took this long on an overloaded machine with
// two cores. The other columns are the longest calls meanwhile.
//
//	             Migrate   look-up   write
//	SQLite       19 s      0.2 s     18 s
//	PostgreSQL   10 s      0.1 s     10 s
//	MariaDB      14 s      0.3 s     0.3 s
//
// On SQLite and PostgreSQL, writes wait until Migrate has ended, and look-ups do not
// wait. On SQLite, a write returns an error after it has waited for five seconds.
// MySQL and MariaDB build an index while others read and write. They lock the table
// briefly when they begin and when they end. If a transaction that has used the table
// is still open then, the lock waits for it, and all other calls wait for the lock.
//
// # Limits and locks
//
// A change of keys first locks their owner, so that changes of one owner's keys wait
// for each other. The lock is the owner's row in the table with the ending "_owners",
// which has a row for each owner who ever had a key. On SQLite every change takes the
// one write lock of the file, and the row does not lock. Readers do not wait, on
// SQLite if its journal is a WAL. Last-used times are written without the lock of the
// owner, and lock keys in the order of their digests. Every transaction asks for its
// isolation level, so the server's default does not matter.
//
// If the database breaks a deadlock or gives up on a lock, the transaction is run
// again, for up to five seconds. How long a statement waits before that is up to the
// context and to the database's own settings.
//
// The owner's row also holds the latest instant of the owner's changes, and later
// changes are judged by it, see [store.Store]. So a limit holds if clocks differ. A
// process whose clock is far ahead takes keys for expired that are not, and after it
// has changed a key of an owner, so do all others for that owner's keys, until their
// clocks have caught up: they do not count such keys against the limit. Rotate with a
// grace period, a change of the expiry and an Insert with an expiry before that
// instant return [store.ErrConflict]. Revocations and rotations without a grace period
// work, and the keys go on working. Once
// the clock is right, this ends it, with the present instant in microseconds since
// 1970:
//
//	UPDATE keyhatch_keys_owners SET latest = 0 WHERE latest > 1790000000000000
//
// Keys that were created meanwhile in the place of others stay, so an owner may then
// have more than the limit, and cannot create any until there are fewer.
//
// # Hidden rows
//
// A key whose row the database leaves out would be refused as unknown, its owner
// would see an empty list, and RevokeAll would revoke nothing. So the database
// must fail instead: Migrate returns an error that names the cause, and a call of
// a Store at work returns an error, which is an outage, if
//
//   - row-level security of PostgreSQL applies to the user, whatever its policies
//     are: give the user BYPASSRLS, or disable it on the tables;
//   - a view, or on PostgreSQL a foreign table, is in a table's place (a SQLite
//     file is examined by Migrate alone);
//   - the server is a standby of PostgreSQL 14 or later, or has @@read_only or
//     @@innodb_read_only on, as replicas of MySQL and MariaDB do;
//   - sql_select_limit of MySQL is set.
//
// Migrate also returns an error if [Options.Reads] lead to another server or
// database than the pool for writes, and if the tables are in a schema outside the
// search path. What is left to the host: a proxy that sends reads to a replica,
// logical replication, and on MySQL a temporary table with the table's name.
//
// # PostgreSQL
//
// PostgreSQL 13 or later is needed, and a driver whose errors have a method
// SQLState() string, as pgx's and lib/pq's do. The encoding of the database must
// be UTF8 or SQL_ASCII; others have no place for most characters, and Migrate
// refuses them. idle_in_transaction_session_timeout=10s is worth having there: otherwise
// a program that vanishes inside a write holds its owner's lock until the server
// notices, which by default takes hours.
//
// A pooler that lends a connection for a transaction at a time, such as
// PgBouncer, mixes up statements that were prepared before. With pgx set
// default_query_exec_mode=cache_describe, and never describe_exec; with lib/pq set
// binary_parameters=yes, without which a look-up may be answered with another
// one's "not found". Package pgstore finds out by itself.
//
// What was acknowledged is as durable as synchronous_commit and fsync make it:
// with the first one off, a crash of the server brings back keys that were
// revoked just before.
//
// # MySQL and MariaDB
//
// MySQL 8.0.16 or MariaDB 10.6 or later is needed, and the driver
// github.com/go-sql-driver/mysql, whose texts of errors tell a deadlock from
// other failures. clientFoundRows, interpolateParams, parseTime and any sql_mode
// but EMPTY_STRING_IS_NULL are taken as they are, since what was written is read
// again before it is committed. Without autocommit, at READ UNCOMMITTED and with
// a charset other than utf8mb4, Migrate fails. These parameters in the data
// source name are worth having:
//
//   - innodb_lock_wait_timeout=5, in seconds, where the default is 50: MySQL does
//     not learn that a caller who waits for a lock has gone.
//   - readTimeout=10s and writeTimeout=10s: a connection to a server that is gone
//     without a word is given up then, and not when TCP does so.
//   - On MariaDB idle_transaction_timeout=10, in seconds: otherwise a program
//     that vanishes inside a write holds its owner's lock until the server
//     notices, which by default takes hours.
//
// All writes and reads go to one node of a cluster. On Galera and group
// replication a lock of one node does not hold on the others, so that limits
// and rotations would not either. Replication by statement
// (binlog_format=STATEMENT) does not go with READ COMMITTED, which writes ask
// for. What was acknowledged is as durable as innodb_flush_log_at_trx_commit=1
// and sync_binlog=1 make it.
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
//   - busy_timeout(10): milliseconds that the database itself waits for a lock.
//     SQLite does not notice a cancelled context while it waits, so keep it
//     short; this package waits on with an eye on the context, for up to five
//     seconds, and a write for longer while others of its Store get the lock.
//
// Every change of a key takes the write lock first, so that none fails halfway
// because another came between. Leave _txlock as it is, deferred: a transaction
// that is refused the lock can then keep its connection while it asks again,
// where a BEGIN that is refused waits for a connection once more, and
// database/sql gives those to anyone. Give the writes a pool of their
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
// What is none of the sentinels of package store is an outage. When a commit
// fails, as when the connection breaks while it is under way, the record is
// read again: if it is as it was to be left, the call succeeded after all.
// Otherwise the error says that the write may have happened, and nothing is
// tried again. What is read again is there for every later reader; whether a
// synchronous standby has it too is not known then. A row that does not hold a record, because something else wrote
// to the table, is an error too.
package sqlstore
