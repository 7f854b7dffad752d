package sqlstore

import (
	"database/sql"
	_ "embed"
	"errors"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/sqlite/1.sql
var sqliteSchema1 string

var sqlite = dialect{
	schema:      []string{sqliteSchema1},
	db:          &sqldb.SQLite,
	isolation:   sql.LevelSerializable, // SQLite has no other
	prepare:     true,
	alone:       aloneInTransaction(""), // lockVersion writes, and there is one writer
	unlessTaken: "ON CONFLICT DO NOTHING",

	// SQLite has one write lock, and this takes it without ever writing. A
	// transaction that reads first and writes later would be refused for good
	// when another one has written in between.
	lock:      `DELETE FROM keyhatch_keys WHERE digest = x'' AND owner = ? AND false`,
	lockAgain: true,

	// A result code's low byte is the primary one.
	busy: func(err error) bool {
		const busy = 5
		var coded interface{ Code() int }
		return errors.As(err, &coded) && coded.Code()&0xff == busy
	},

	touch: `UPDATE keyhatch_keys AS k SET last_used_at = u.at
		FROM (SELECT unhex(value ->> 0) AS digest, value ->> 1 AS at FROM json_each(?)) AS u
		WHERE k.digest = u.digest AND k.revoked_at IS NULL
		AND (k.last_used_at IS NULL OR k.last_used_at < u.at
			OR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at)`,
}
