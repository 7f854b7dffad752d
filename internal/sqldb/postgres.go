package sqldb

import "strconv"

// PostgreSQL is PostgreSQL 13 or later.
//
// Row-level security can be switched on at any time, for some users and some
// rows. A view may hide rows, and a foreign table may lead to a replica; neither
// has a file of its own. A server that has become a standby lags behind.
var PostgreSQL = Database{
	name:  "PostgreSQL database",
	quote: `"`,

	// A text that is no boolean fails the statement, and the error quotes it. The
	// condition refers to no column, so the server evaluates it once, and before
	// it looks for rows. It stands apart since a table of which row-level security
	// hides every row is not looked at at all, nor is a condition on it.
	apart: true,
	whole: `COALESCE(CASE WHEN row_security_active(%s::regclass) THEN 'row-level security may hide rows'
		WHEN pg_relation_filenode(%s::regclass) IS NULL THEN 'a view may hide rows'
		WHEN current_setting('in_hot_standby', true) = 'on' THEN 'a standby lags behind' END::boolean, true)`,

	// Not to_regclass, which finds a temporary table first.
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
		WHEN c.relkind <> 'r' THEN c.relname || ' is not a table but a view or the like, which may hide rows' END
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname IN (%s)`,

	server:      `SELECT current_database() || ', server started at ' || pg_postmaster_start_time()`,
	placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
}

// PostgreSQLEncodings asks what is wrong with the encodings of the database and of a
// connection; NULL means nothing. Encodings other than UTF8 have no place for most
// characters, so some texts could never be written. A client of another encoding
// would have its letters changed on the way. SQL_ASCII means bytes, kept as they are.
const PostgreSQLEncodings = `SELECT CASE
	WHEN current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII')
		THEN 'the encoding of the database is ' || current_setting('server_encoding') ||
			', which cannot hold every text; use a database made by CREATE DATABASE with ENCODING ''UTF8'' and TEMPLATE template0'
	WHEN current_setting('client_encoding') NOT IN ('UTF8', 'SQL_ASCII')
		THEN 'client_encoding is ' || current_setting('client_encoding') || ', want UTF8' END`
