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
	schema:          []string{postgresSchema1},
	db:              &sqldb.PostgreSQL,
	schemas:         true,
	isolation:       sql.LevelReadCommitted, // each statement sees changes that were committed while it waited for a lock
	isBusy:          isBusyPostgreSQL,
	put:             putOnConflict,
	setOverride:     setOverrideOnConflict,
	markProcessed:   markProcessedOnConflict,
	saveRejected:    saveRejectedOnConflict,
	ignoreDuplicate: "ON CONFLICT DO NOTHING",
	exclusively:     migrateInTransaction(`SELECT pg_advisory_xact_lock(hashtextextended('keyhatch', 0))`),
	settingsFault:   sqldb.PostgreSQLEncodings,
}

// isBusyPostgreSQL recognises the errors of every driver that provides the
// SQLSTATE, as pgx and lib/pq do.
func isBusyPostgreSQL(err error) bool {
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
