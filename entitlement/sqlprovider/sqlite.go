package sqlprovider

import (
	"database/sql"
	_ "embed"
	"errors"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/sqlite/1.sql
var sqliteSchema1 string

var sqlite = dialect{
	schema:          []string{sqliteSchema1},
	db:              &sqldb.SQLite,
	isolation:       sql.LevelSerializable, // SQLite has no other
	put:             putOnConflict,
	setOverride:     setOverrideOnConflict,
	markProcessed:   markProcessedOnConflict,
	saveRejected:    saveRejectedOnConflict,
	ignoreDuplicate: "ON CONFLICT DO NOTHING",
	exclusively:     migrateInTransaction(""), // lockVersion writes, and SQLite has one writer at a time

	// The low byte of a result code is the primary code.
	isBusy: func(err error) bool {
		const busy = 5
		var coded interface{ Code() int }
		return errors.As(err, &coded) && coded.Code()&0xff == busy
	},
}
