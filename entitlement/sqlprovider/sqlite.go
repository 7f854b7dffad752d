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

	//go:embed schema/sqlite/3.sql
	sqliteSchema3 string
)

var sqlite = dialect{
	schema: []string{sqliteSchema1, sqliteSchema2, sqliteSchema3},
	db:     &sqldb.SQLite,

	// Without statistics, which only ANALYZE collects, SQLite would read all records of
	// the source.
	byParent: "INDEXED BY keyhatch_plans_parent",

	put:          putOnConflict,
	setOverride:  setOverrideOnConflict,
	putRecord:    putRecordOnConflict,
	saveRejected: saveRejectedOnConflict,
}
