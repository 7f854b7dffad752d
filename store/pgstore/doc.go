// Package pgstore keeps keyhatch's records in a PostgreSQL database, version 13 or
// later:
//
//	st, err := pgstore.Open(ctx, "postgres://app:…@db.example.com/app?sslmode=verify-full", nil)
//	defer st.Close()
//	keys, err := apikey.New(st, nil)
//
// It is a [sqlstore.Store] on a pgx pool, with all settings that keys need. A host
// that already has a *sql.DB can keep its keys there with sqlstore.New.
//
// # Settings
//
// The data source name is a URL or keywords and values, as pgx and libpq accept
// them. Its parameters override the defaults below, with one exception: a
// connection to another machine must use TLS. Open refuses sslmode disable, allow
// and prefer for such a host. Without an sslmode, pgx uses prefer, so Open refuses
// that too; [Options].InsecureNoTLS allows all of them. The mode verify-full
// authenticates the server; require does not.
//
// The defaults are:
//
//   - pool_max_conns=10, or [Options].MaxConns. By default, a server accepts 100
//     connections of all its clients together.
//   - connect_timeout=5, in seconds and for each host; 0 means 5 too. A healthy
//     server accepts a connection in a fraction of that.
//   - pool_ping_timeout=500ms. If a connection was idle for more than a second, the
//     pool pings it first. A call tries idle connections until one replies, so
//     each one that broke without notice costs 500 ms of the 3 s that a Manager
//     allows for the call.
//   - pool_max_conn_idle_time=3m and pool_health_check_period=30s. Load balancers
//     and firewalls drop idle connections without notice, typically after 4 to 6
//     minutes.
//   - pool_max_conn_lifetime=30m and pool_max_conn_lifetime_jitter=5m. Within this
//     time, every connection follows a change of DNS, and the server gets back the
//     memory that a session accumulates. The jitter keeps connections from closing
//     together.
//   - idle_in_transaction_session_timeout=10s, unless there is a pooler, which has
//     its own. If a program vanishes during a write, its session holds the owner's
//     lock until this timeout; without it, the lock could be held for hours.
//   - application_name=keyhatch, which pg_stat_activity and the server's log show.
//   - default_query_exec_mode depends on whether there is a pooler; see Poolers.
//
// # Durability
//
// When a write has returned nil, it is on the server's disk, provided that fsync
// and full_page_writes are on and the disk writes its cache when asked to. With
// synchronous_commit off, a crash of the server undoes the latest acknowledged
// writes, and an undone revocation makes a leaked key work again. So Open refuses
// synchronous_commit off. You can turn it on for this user alone. The other two
// settings belong to the whole server, and servers that are durable by other means
// have them off. So Open does not check them; on a server of your own they must be
// on.
//
// A failover to a standby that lags also loses acknowledged writes. To prevent it,
// set synchronous_standby_names.
//
// # Poolers
//
// PgBouncer or another pooler may stand in front of the server, in session or in
// transaction mode. In transaction mode, each transaction may run in another
// session, where prepared statements are missing, or belong to another client. Open
// detects a pooler, and then uses unnamed statements and caches their parameter
// types. A default_query_exec_mode in the data source name overrides this. Use
// cache_statement with a pooler that supports prepared statements, such as
// PgBouncer 1.21 or later with max_prepared_statements above 0. Open refuses
// describe_exec behind a pooler, since another client's statement could run instead
// of the described one.
//
// Open refuses a pooler in statement mode, since it allows no transactions, without
// which no limit would hold. Poolers do not pass on session parameters such as search_path;
// use [Options].Schema.
//
// # Rights
//
// Open creates the tables if they do not exist. For this, the user needs CREATE on
// the schema. Since PostgreSQL 15, only the owner of the schema public has CREATE on
// it. If a migration tool creates the tables, from sqlstore's folder schema/postgresql,
// Open only reads their version, and the user needs only
//
//	GRANT USAGE ON SCHEMA … TO app;
//	GRANT SELECT, INSERT, UPDATE ON keyhatch_keys, keyhatch_keys_owners TO app;
//	GRANT SELECT, UPDATE ON keyhatch_keys_revocations TO app;
//	GRANT SELECT ON keyhatch_keys_version TO app;
//
// # Outages
//
// Every error that is not a sentinel of package store counts as an outage. If the
// server restarts, one call may fail for each connection that was used within the
// last second. The pool replaces the other connections without an error.
//
// # Read replicas
//
// A Store never reads from a replica: a replica lags, so revoked keys would be
// accepted. If the data source name has several hosts, every connection goes to a
// host that accepts writes, so the pool follows a failover.
//
// # Other instances
//
// Without a bus, other instances of a service see a change only when their cached
// entries expire, after the longer of apikey's CacheTTL and StaleIfError. With a [Bus]
// they see it within milliseconds:
//
//	bus, err := st.Bus(ctx, nil)
//	keys, err := apikey.New(st, &apikey.Options{Bus: bus})
//
// The bus uses PostgreSQL's LISTEN and NOTIFY. It needs no table, and a listener
// needs no right except to connect. Each instance has two connections in addition
// to its pool: one that publishes and one that listens. In pg_stat_activity, the
// listener's name is the application_name with " bus" appended, by default
// "keyhatch bus".
//
// An instance publishes a message for each change. Every second it also checks both
// connections, which wakes no other session. A message wakes the sessions of all
// instances, so an instance publishes heartbeats less often as the number of
// instances grows. See package cache.
//
// Every role that can connect to the database can publish messages. Set
// [BusOptions].Secret to authenticate them.
//
// A pooler in transaction mode accepts LISTEN but never delivers. [Store.Bus]
// detects this and returns an error. In that case, set [BusOptions].DSN to a data
// source name that bypasses the pooler; only the listener uses it, and messages are
// still published through the pooler. A pooler in session mode works for both, and
// needs one more session per instance.
//
// If its session ends, a listener notices at once. If nothing arrives for a second,
// the listener pings the server, and closes the connection if there is no reply
// within another half second. The next listener connects to the server that accepts
// writes, which after a failover is the new one. Messages that were published in
// between are lost, so package cache then marks all cached entries of the instance
// stale.
//
// The server queues each message until every listening session has received it. By
// default the queue holds 8 GB. If it is full, NOTIFY fails in all sessions; writes
// of keys still succeed. So a listener that hangs must not stay connected: the
// instance closes a connection that does not reply, which ends its session. If the
// network drops that too, the server ends the session by its tcp_user_timeout and
// tcp_keepalives_idle. By default it waits about 15 minutes if it has something to
// send, and two hours otherwise. pg_notification_queue_usage() returns how full the
// queue is.
//
// A message is published after the change has been committed, in a transaction of
// its own. This takes one round trip and does not wait for the disk. PostgreSQL
// commits notifying transactions one after the other. Sixteen writers on two cores, with a disk
// that takes 1 ms per write, made 6,100 commits per second. They made only 410 if each
// transaction notified, and 4,500 if a message followed each transaction. Look-ups and last-used
// writes publish no message.
package pgstore
