package sqlprovider

import (
	_ "embed"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/postgresql/1.sql
var postgresSchema1 string

var postgres = dialect{
	schema:        []string{postgresSchema1},
	db:            &sqldb.PostgreSQL,
	put:           putOnConflict,
	setOverride:   setOverrideOnConflict,
	markProcessed: markProcessedOnConflict,
	saveRejected:  saveRejectedOnConflict,
}
