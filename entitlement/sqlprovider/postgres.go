package sqlprovider

import (
	_ "embed"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

var (
	//go:embed schema/postgresql/1.sql
	postgresSchema1 string

	//go:embed schema/postgresql/2.sql
	postgresSchema2 string

	//go:embed schema/postgresql/3.sql
	postgresSchema3 string
)

var postgres = dialect{
	schema:       []string{postgresSchema1, postgresSchema2, postgresSchema3},
	db:           &sqldb.PostgreSQL,
	put:          putOnConflict,
	setOverride:  setOverrideOnConflict,
	putRecord:    putRecordOnConflict,
	saveRejected: saveRejectedOnConflict,
}
