package sqlprovider

import (
	_ "embed"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/sqlite/1.sql
var sqliteSchema1 string

var sqlite = dialect{
	schema:        []string{sqliteSchema1},
	db:            &sqldb.SQLite,
	put:           putOnConflict,
	setOverride:   setOverrideOnConflict,
	markProcessed: markProcessedOnConflict,
	saveRejected:  saveRejectedOnConflict,
}
