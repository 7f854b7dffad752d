package sqlstore

import (
	"database/sql"
	_ "embed"
	"errors"
	"strconv"
)

//go:embed schema/postgresql/1.sql
var postgresSchema1 string

var postgres = dialect{
	schema:      []string{postgresSchema1},
	schemas:     true,
	quote:       `"`,
	isolation:   sql.LevelReadCommitted, // each statement sees what was committed while it waited for a lock
	placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
	busy:        busyPostgres,
	unlessTaken: "ON CONFLICT DO NOTHING",
	inOrder:     "ORDER BY digest FOR UPDATE",
	alone:       aloneInTransaction(`SELECT pg_advisory_xact_lock(hashtextextended('keyhatch', 0))`),

	// The database would keep letters as they come, and other clients read other
	// ones. Without an encoding of its own they all read what was written.
	unfit: `SELECT CASE WHEN current_setting('client_encoding') NOT IN ('UTF8', 'SQL_ASCII')
		THEN 'client_encoding is ' || current_setting('client_encoding') || ', want UTF8' END`,

	// The row is made if it is not there, and locked as by FOR UPDATE if it is:
	// ON CONFLICT locks it before it looks at WHERE.
	lock: `INSERT INTO keyhatch_keys_owners AS o (owner) VALUES (?)
		ON CONFLICT (owner) DO UPDATE SET owner = o.owner WHERE false`,

	touch: `WITH uses AS (
			SELECT decode(value ->> 0, 'hex') AS digest, (value ->> 1)::bigint AS at
			FROM jsonb_array_elements(?::text::jsonb)
		), locked AS (
			SELECT k.digest, uses.at FROM uses JOIN keyhatch_keys AS k USING (digest)
			WHERE k.revoked_at IS NULL ORDER BY k.digest FOR UPDATE OF k
		)
		UPDATE keyhatch_keys AS k SET last_used_at = locked.at FROM locked
		WHERE k.digest = locked.digest AND k.revoked_at IS NULL
		AND (k.last_used_at IS NULL OR k.last_used_at < locked.at)`,
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
