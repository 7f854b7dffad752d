package sqlprovider

import (
	_ "embed"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

var (
	//go:embed schema/sqlite/1.sql
	sqliteSchema1 string

	//go:embed schema/sqlite/2.sql
	sqliteSchema2 string
)

var sqlite = dialect{
	schema:        []string{sqliteSchema1, sqliteSchema2},
	db:            &sqldb.SQLite,
	put:           putOnConflict,
	setOverride:   setOverrideOnConflict,
	markProcessed: markProcessedOnConflict,
	saveRejected:  saveRejectedOnConflict,
}
