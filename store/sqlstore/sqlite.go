package sqlstore

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
)

//go:embed schema/sqlite.sql
var sqliteSchema string

var sqlite = dialect{
	schema:      []string{sqliteSchema},
	isolation:   sql.LevelSerializable, // SQLite has no other
	placeholder: func(int) string { return "?" },
	lock:        lockSQLite,
	busy:        busySQLite,
	unlessTaken: "ON CONFLICT DO NOTHING",
	touch: `UPDATE keyhatch_keys SET last_used_at = u.at
		FROM (SELECT unhex(value ->> 0) AS digest, value ->> 1 AS at FROM json_each(?)) AS u
		WHERE keyhatch_keys.digest = u.digest AND revoked_at IS NULL
		AND (last_used_at IS NULL OR last_used_at < u.at)`,
}

// lockSQLite takes SQLite's one write lock by a statement that writes nothing.
// A transaction that reads first and writes later would be refused for good
// when another one has written in between.
func lockSQLite(ctx context.Context, tx *sql.Tx, table, _ string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE digest = x''")
	return err
}

// busySQLite looks at the primary result code, which is in the low byte.
func busySQLite(err error) bool {
	const busy = 5
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == busy
}
