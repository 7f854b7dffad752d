package sqlprovider

import (
	"database/sql"
	_ "embed"
	"errors"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/postgresql/1.sql
var postgresSchema1 string

var postgres = dialect{
	schema:      []string{postgresSchema1},
	db:          &sqldb.PostgreSQL,
	schemas:     true,
	isolation:   sql.LevelReadCommitted, // each statement sees what was committed while it waited for a lock
	busy:        busyPostgres,
	put:         putOnConflict,
	setOverride: setOverrideOnConflict,
	markSeen:    markSeenOnConflict,
	keepRefused: keepRefusedOnConflict,
	unlessTaken: "ON CONFLICT DO NOTHING",
	alone:       aloneInTransaction(`SELECT pg_advisory_xact_lock(hashtextextended('keyhatch', 0))`),

	// Encodings other than UTF8 have no place for most characters, and an owner
	// with one of them could never be written. A client of another encoding would
	// have its letters changed on the way. SQL_ASCII means bytes, kept as they are.
	unfit: `SELECT CASE
		WHEN current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII')
			THEN 'the encoding of the database is ' || current_setting('server_encoding') ||
				', which cannot hold every text; use a database made by CREATE DATABASE with ENCODING ''UTF8'' and TEMPLATE template0'
		WHEN current_setting('client_encoding') NOT IN ('UTF8', 'SQL_ASCII')
			THEN 'client_encoding is ' || current_setting('client_encoding') || ', want UTF8' END`,
}

// busyPostgres knows the errors of every driver that tells the SQLSTATE, as
// pgx and lib/pq do.
func busyPostgres(err error) bool {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return false
	}
	switch coded.SQLState() {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock_timeout
		return true
	}
	return false
}
