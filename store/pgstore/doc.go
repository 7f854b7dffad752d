// Package pgstore keeps keyhatch's records in a PostgreSQL database, version 13
// or later:
//
//	st, err := pgstore.Open(ctx, "postgres://app:…@db.example.com/app?sslmode=verify-full", nil)
//	defer st.Close()
//	keys, err := apikey.New(st, nil)
//
// It is a [sqlstore.Store] on a pool of pgx with everything set that keeping
// keys asks for. A host that has a *sql.DB already can keep the keys there by
// calling sqlstore.New.
//
// # Settings
//
// The data source name is read as pgx and libpq read theirs, and what it says
// wins, with one exception: a server on another machine must be spoken to with
// TLS. Open refuses sslmode disable, allow and prefer there, and prefer is what
// pgx does without an sslmode; [Options].InsecureNoTLS allows them. With
// verify-full the server is authenticated too, and with require it is not. Where
// the name says nothing, these hold:
//
//   - pool_max_conns=10, or [Options].MaxConns. A server admits 100 of all its
//     clients together unless it is told otherwise.
//   - connect_timeout=5, in seconds and for each host; 0 means this default too.
//     A server that is well answers in a fraction of that.
//   - pool_ping_timeout=500ms. A connection that was idle for more than a second
//     is asked whether it is alive. A call takes one after the other until one
//     answers, so that several that died without a word use up some of the 3 s
//     that apikey's Manager gives it.
//   - pool_max_conn_idle_time=3m and pool_health_check_period=30s. Load balancers
//     and firewalls forget idle connections without saying so, the common ones
//     after 4 to 6 minutes.
//   - pool_max_conn_lifetime=30m and pool_max_conn_lifetime_jitter=5m. After so
//     long every connection has followed a change of DNS, and the server has the
//     memory back that a session gathers; the jitter keeps all of them from
//     ending at once.
//   - idle_in_transaction_session_timeout=10s, unless there is a pooler, which
//     has its own. A program that vanishes inside a write would otherwise hold
//     its owner's lock until the server notices, which can take hours.
//   - application_name=keyhatch, for pg_stat_activity and the server's log.
//   - default_query_exec_mode as the next section but one says.
//
// # Durability
//
// A call that returned nil is on the server's disk, as far as the server's
// fsync and full_page_writes are on and the disk keeps its promises. With
// synchronous_commit off a crash of the server takes back what it acknowledged
// just before, and a revocation that is taken back is a leaked key that works
// again. So Open refuses that: it is a setting of the session, which can be
// turned on for this user alone. The other two settings belong to the whole
// server, and some that are durable by other means have them off, so Open does
// not judge them; on a server of your own they must be on.
//
// A failover to a standby that lags loses acknowledged writes too. Where that
// matters, let synchronous_standby_names name one.
//
// # Poolers
//
// PgBouncer and its like may stand between, in session or in transaction mode.
// In the latter each transaction may run in another session, where statements
// that were prepared under a name are missing or taken. Open finds out that a
// pooler is there, and then sends statements without a name, each together with
// its parameters and without asking for their types again. A
// default_query_exec_mode in the data source name is left as it is:
// cache_statement is right for a pooler that follows prepared statements, as
// PgBouncer does from 1.21 with max_prepared_statements above 0. Only
// describe_exec is refused behind a pooler, since another client's statement
// may run in place of the one that was described.
//
// In statement mode there are no transactions, and no limit would hold; Open
// refuses it. Parameters of the session, such as search_path, poolers do not
// pass on: use [Options].Schema.
//
// # Rights
//
// Open creates the tables if they are not there, for which the user needs the
// right CREATE on the schema. From version 15 on, the schema public grants it
// to its owner alone. Where a migration tool creates them, from the files in
// sqlstore's folder schema/postgresql, Open only reads the version, and the
// user can do with
//
//	GRANT USAGE ON SCHEMA … TO app;
//	GRANT SELECT, INSERT, UPDATE ON keyhatch_keys, keyhatch_keys_owners TO app;
//	GRANT SELECT, UPDATE ON keyhatch_keys_revocations TO app;
//	GRANT SELECT ON keyhatch_keys_version TO app;
//
// # Outages
//
// Whatever is not a sentinel of package store is an outage. When the server
// restarts, a call may fail for each connection that was open and in use within
// the last second; others are replaced unnoticed.
//
// # Read replicas
//
// There is no way to read from one: it lags, and would go on admitting keys
// after they were revoked. Of several hosts in the data source name every
// connection goes to one that takes writes, so that the pool follows a failover
// by itself.
//
// # Other instances
//
// Another instance of a service goes by what it has in memory, until that is as
// old as apikey's CacheTTL. With a [Bus] it hears of a change within
// milliseconds:
//
//	bus, err := st.Bus(ctx, nil)
//	keys, err := apikey.New(st, &apikey.Options{Bus: bus})
//
// The bus is PostgreSQL's LISTEN and NOTIFY. It needs no table, and whoever
// listens no right but to connect. An instance has two connections more than its
// pool: one that sends, and one that listens, which pg_stat_activity shows as
// "keyhatch bus", or its application_name and " bus". It sends a message for each change. To know
// that it is heard, it asks both connections for a sign of life every second, which
// wakes nobody else; a message wakes the sessions of all instances, so those that
// say only that an instance is there become rarer as instances become more. See
// package cache.
//
// Every role that can connect to the database can send messages. With
// [BusOptions].Secret they are authenticated.
//
// A pooler in transaction mode accepts LISTEN and never delivers. [Store.Bus]
// finds that out, and fails. [BusOptions].DSN then tells a way round the pooler
// to listen by; what is sent goes through it all the same. A pooler in session
// mode may be in either way, and needs room for a session more per instance.
//
// A listener whose session ends knows it at once. One that has heard nothing for
// a second asks the server, and gives its connection up after another half. The
// next one goes to the server that takes writes then, after a failover the new
// one. What was sent in between is lost, so that the instance looks up again
// all that it had in memory; package cache sees to that.
//
// The server keeps a message until every session that listens has passed it on,
// by default in up to 8 GB. When that is full, all who notify fail, those who
// write keys not among them. So a listener that hangs must go: the instance
// closes a connection that does not answer, which ends the session. Where the
// network swallows that too, the server goes by its tcp_user_timeout and
// tcp_keepalives_idle; unless they are set, it waits a quarter of an hour with
// something to send, and two hours without. pg_notification_queue_usage() tells
// how full the queue is.
//
// The message goes out after the change was committed, in a transaction of its
// own, which takes one round trip and waits for no disk. PostgreSQL lets those
// who notify commit only one after the other: with sixteen writers on two cores
// and a disk that takes a millisecond, 6,100 commits a second became 410 when
// each transaction notified, and 4,500 when a message followed each. Looking
// keys up and writing down their use sends none.
package pgstore
