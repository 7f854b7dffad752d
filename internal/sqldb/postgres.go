package sqldb

import (
	"database/sql"
	"strconv"
)

// PostgreSQL is PostgreSQL 13 or later.
//
// Row-level security can be switched on at any time, for some users and some rows.
// A view may hide rows, and a foreign table may lead to a replica; neither has a
// file of its own. A server that has become a standby lags behind the primary.
var PostgreSQL = Database{
	name:  "PostgreSQL database",
	quote: `"`,

	// A string that is not a boolean makes the statement fail, and the error quotes
	// the string. The condition refers to no column, so the server evaluates it once,
	// before it looks for rows. It must not be part of the WHERE clause: if
	// row-level security hides every row of a table, the server evaluates no
	// condition on it.
	//
	// The last part is always true. It calls a function that is not parallel-safe,
	// so the server does not make a parallel plan. Starting the workers would take
	// longer than these statements do.
	outsideWhere: true,
	whole: `COALESCE(CASE WHEN row_security_active(%s::regclass) THEN 'row-level security may hide rows'
		WHEN pg_relation_filenode(%s::regclass) IS NULL THEN 'a view may hide rows'
		WHEN current_setting('in_hot_standby', true) = 'on' THEN 'a standby lags behind' END::boolean, true)
		AND (pg_current_xact_id_if_assigned() IS NULL) IS NOT NULL`,

	// to_regclass does not work here: it finds a temporary table first.
	home: `SELECT COALESCE(found.nspname, current_schema()), CASE WHEN found.nspname IS NULL THEN (
			SELECT string_agg(n.nspname, ', ') FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
			WHERE c.relname = ? AND n.nspname NOT LIKE 'pg\_temp\_%') END
		FROM (SELECT) AS one LEFT JOIN LATERAL (
			SELECT n.nspname FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
			JOIN pg_namespace AS n ON n.nspname = path.name JOIN pg_class AS c ON c.relnamespace = n.oid
			WHERE c.relname = ? AND n.oid <> pg_my_temp_schema() ORDER BY path.place LIMIT 1) AS found ON true`,

	faults: `SELECT CASE
		WHEN pg_is_in_recovery() THEN 'the server is a standby, which lags behind; connect to the primary'
		WHEN row_security_active(c.oid) THEN 'row-level security may hide rows of ' || c.relname || ' from user ' || current_user ||
			'; give the user BYPASSRLS, or disable row-level security on the table'
		WHEN c.relkind <> 'r' THEN c.relname || ' is not an ordinary table; a view or foreign table may hide rows' END
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname IN (%s)`,

	// A CREATE INDEX CONCURRENTLY that fails leaves such an index, and IF NOT EXISTS then
	// does not create it.
	invalidIndexes: `SELECT string_agg(c.relname, ', ') FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND n.nspname = ? AND c.relname IN (%s)`,

	server:      `SELECT current_database() || ', server started at ' || pg_postmaster_start_time()`,
	placeholder: func(n int) string { return "$" + strconv.Itoa(n) },

	schemas:         true,
	Isolation:       sql.LevelReadCommitted,                                                      // each statement sees changes that were committed while it waited for a lock
	IsBusy:          func(err error) bool { return hasSQLState(err, "40001", "40P01", "55P03") }, // serialization failure, deadlock, lock_timeout
	IsMissing:       func(err error) bool { return hasSQLState(err, "42P01") },                   // undefined table
	settingsFault:   postgresEncodings,
	IgnoreDuplicate: "ON CONFLICT DO NOTHING",
	exclusively:     exclusivelyInTransaction(`SELECT pg_advisory_xact_lock(hashtextextended('keyhatch', 0))`),
}

// postgresEncodings is a query that returns the fault in the encodings of the
// database and the connection, or NULL. In an encoding other than UTF8 most
// characters do not exist, so some strings could never be stored. A client with
// another encoding would get its strings converted. SQL_ASCII stores bytes unchanged.
const postgresEncodings = `SELECT CASE
	WHEN current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII')
		THEN 'the encoding of the database is ' || current_setting('server_encoding') ||
			', which cannot store every text; use a database made by CREATE DATABASE with ENCODING ''UTF8'' and TEMPLATE template0'
	WHEN current_setting('client_encoding') NOT IN ('UTF8', 'SQL_ASCII')
		THEN 'client_encoding is ' || current_setting('client_encoding') || ', want UTF8' END`
