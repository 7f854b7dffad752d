// Package sqlstore keeps keyhatch's records in a SQL database that the host already
// has, through [database/sql]. It imports no driver: the host opens the *sql.DB, names
// the [Dialect] of the database, and closes the *sql.DB in the end.
//
//	st, err := sqlstore.New(db, sqlstore.PostgreSQL, nil)
//	err = st.Migrate(ctx)
//	keys, err := apikey.New(st, nil)
//
// Package sqlitestore opens a SQLite file, and package pgstore a pool of PostgreSQL
// connections, with all settings that this page recommends. The tests of this package
// are in those packages and in internal/integration/databases, since they need drivers.
//
// # Tables
//
// [Store.Migrate] creates the tables and keeps them up to date. A migration tool of your
// own can run the files in the folder schema instead: one folder for each dialect, one
// file for each version. If [Options] set other table names, use those names in the
// files. Call Migrate even if a tool runs the files. It then changes nothing, but
// refuses connections whose settings could corrupt records. From then on, every
// statement names the schema of the tables. Without Migrate, each connection uses its
// own search path.
//
// Migrate needs the right to create tables and indexes. Other calls need SELECT,
// INSERT and UPDATE, and on SQLite the whole file.
//
// Running programs of an earlier version keep working while Migrate runs and after it.
// But the Migrate of an earlier version returns an error on newer tables, so a program
// that calls it does not start again. To go back to such a program, start it without
// Migrate: all other calls work on newer tables. Set [Options.Schema] then, and keep
// the settings of the connections, since nothing checks them. Open of packages pgstore
// and sqlitestore always calls Migrate.
//
// Version 2 adds the latest instant of each owner and an index of the keys. Version 3
// adds a small table and locks no other. Version 4 adds an index of the keys. A
// migration from version 1 to 4 of 1,000,000 keys took this long on an overloaded
// machine with two cores. The other columns are the longest calls meanwhile.
//
//	             Migrate   look-up   write
//	SQLite       19 s      0.2 s     18 s
//	PostgreSQL   10 s      0.1 s     10 s
//	MariaDB      14 s      0.3 s     0.3 s
//
// On SQLite and PostgreSQL, writes wait until Migrate has ended, and look-ups do not
// wait. On SQLite, a write returns an error after it has waited for five seconds. On
// PostgreSQL, an index can be built beforehand, as the files say. If that fails, Migrate
// returns an error until the invalid index has been dropped. If the version is already
// the newest, create the index again as in the file, since Migrate no longer does.
// MySQL and MariaDB build an index while others read and write. They lock the table
// briefly when the build begins and when it ends. If a transaction that has used the
// table is still open then, the lock waits for it, and all other calls wait for the
// lock.
//
// # Limits and locks
//
// A change of keys first locks their owner, so that changes of one owner's keys wait
// for each other. The lock is the owner's row in the table with the ending "_owners",
// which has a row for each owner who ever had a key. On SQLite every change takes the
// one write lock of the file, and the owner's row is not used as a lock. Readers do not wait; on
// SQLite this is so only if the journal is a WAL. Last-used times are written without the lock of
// the owner, and lock keys in the order of their digests. Every transaction asks for its
// isolation level, so the server's default does not matter.
//
// If the database breaks a deadlock or gives up on a lock, the transaction is run
// again, for up to five seconds. The context and the database's own settings decide how long a
// statement waits before that.
//
// The owner's row also holds the latest instant of the owner's changes, which later
// changes use if their own is earlier; see [store.Store]. So a limit holds even if clocks
// differ.
//
// A process whose clock is far ahead treats valid keys as expired, and does not count
// them against the limit. After it has changed a key of an owner, the writes of all
// processes treat that owner's keys in the same way, until their clocks have caught up.
// Meanwhile, a rotation with a grace period, a change of the expiry and an Insert return
// [store.ErrConflict] if the key expires, or would expire, before the owner's latest
// instant. Validations by processes with a correct clock, revocations and rotations
// without a grace period are not affected. After you have corrected the clock, run this
// statement, with the current time in microseconds since 1970:
//
//	UPDATE keyhatch_keys_owners SET latest = 0 WHERE latest > 1790000000000000
//
// Keys that were created meanwhile remain, so the owner may have more keys than the
// limit, and then cannot create any until there are fewer.
//
// # Hidden rows
//
// If the database left out the row of a key, the key would be refused as unknown, its
// owner would see an empty list, and RevokeAll would revoke nothing. So statements fail
// instead. Migrate returns an error that names the cause, and every later call returns an
// outage error, if
//
//   - row-level security of PostgreSQL applies to the user, with any policy: give the
//     user BYPASSRLS, or disable row-level security on the tables;
//   - a view, or on PostgreSQL a foreign table, replaces a table (on SQLite only Migrate
//     checks this);
//   - the server is a standby of PostgreSQL 14 or later, or has @@read_only or
//     @@innodb_read_only on, as replicas of MySQL and MariaDB do;
//   - sql_select_limit of MySQL is set.
//
// Migrate also returns an error if [Options.Reads] leads to another server or database
// than the pool for writes, and if the tables are in a schema outside the search path.
// Three cases cannot be detected: a proxy that sends reads to a replica, logical
// replication, and on MySQL a temporary table with the table's name.
//
// # PostgreSQL
//
// PostgreSQL 13 or later is required, and a driver whose errors have a method
// SQLState() string, as those of pgx and lib/pq have. The encoding of the database must
// be UTF8 or SQL_ASCII; Migrate refuses others, which lack most characters. Set
// idle_in_transaction_session_timeout=10s: otherwise a program that disappears during a
// write holds its owner's lock until the server notices, which takes hours by default.
//
// A pooler that assigns connections to single transactions, such as PgBouncer, mixes up
// prepared statements. With pgx set default_query_exec_mode=cache_describe, and never
// describe_exec. With lib/pq set binary_parameters=yes: without it, a look-up may return the "not
// found" of another look-up. Package pgstore detects the pooler by itself.
//
// Acknowledged writes are as durable as synchronous_commit and fsync make them. If
// synchronous_commit is off, a crash of the server can undo the latest revocations.
//
// # MySQL and MariaDB
//
// MySQL 8.0.16 or MariaDB 10.6 or later is required, and the driver
// github.com/go-sql-driver/mysql, since its error messages identify deadlocks.
// clientFoundRows, interpolateParams, parseTime and every sql_mode except
// EMPTY_STRING_IS_NULL are supported, since records are read again before a write is
// committed. Migrate returns an error if autocommit is off, if the isolation level is READ
// UNCOMMITTED, or if the charset is not utf8mb4. These parameters of the data source name
// are recommended:
//
//   - innodb_lock_wait_timeout=5, in seconds. The default is 50, and MySQL does not
//     notice when the caller that waits for a lock has given up.
//   - readTimeout=10s and writeTimeout=10s: otherwise a connection to a server that has
//     disappeared ends only when TCP times out.
//   - On MariaDB idle_transaction_timeout=10, in seconds: otherwise a program that
//     disappears during a write holds its owner's lock until the server notices, which
//     takes hours by default.
//
// Send all writes and reads to one node of a cluster. On Galera and group replication,
// a lock on one node does not hold on the others, so limits and rotations would not hold
// either. Replication by statement (binlog_format=STATEMENT) is incompatible with READ
// COMMITTED, which writes use. Acknowledged writes are as durable as
// innodb_flush_log_at_trx_commit=1 and sync_binlog=1 make them.
//
// # SQLite
//
// SQLite 3.41 or later is required. Set these in the data source name, so that every
// connection of the pool has them:
//
//   - journal_mode(WAL): readers and the writer do not wait for each other.
//   - synchronous(FULL): acknowledged writes survive a power failure. With NORMAL, a
//     power failure loses the latest transactions, including revocations; a crash of
//     the process alone loses nothing.
//   - busy_timeout(10): the milliseconds that SQLite itself waits for a lock. SQLite
//     does not notice a cancelled context while it waits, so keep it short. This package
//     then waits for up to five seconds, or until the context ends. A write waits longer
//     while other writes of its Store get the lock.
//
// Every change of a key takes the write lock first, so that no other change can come
// between its statements. Leave _txlock at deferred: a transaction then keeps its
// connection while it waits for the lock, whereas a failed BEGIN must wait for a
// connection again. Use a pool with SetMaxOpenConns(1) for writes and another pool for
// reads, see [Options.Reads]: writers then queue in Go instead of polling a file lock. A
// database in memory must have a single connection, since each connection has its own
// database.
//
// This package waits for locks only if the driver's errors have a method Code() int that
// returns SQLite's result code, as those of modernc.org/sqlite have. With other drivers,
// a locked database is an error at once, or after the driver's own timeout.
//
// # Errors
//
// Every error other than the sentinels of package store counts as an outage. If a commit
// fails, for example because the connection breaks, the record is read again. If it has
// been written, the call succeeds: every later reader finds it, but a synchronous standby
// may not have it. Otherwise the error says that the write may have happened, and the
// write is not retried. A row that is not a valid record, because another program has
// written to the table, also returns an error.
package sqlstore
