package sqlprovider

import (
	_ "embed"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

var (
	//go:embed schema/mysql/1.sql
	mysqlSchema1 string

	//go:embed schema/mysql/2.sql
	mysqlSchema2 string
)

var mysql = dialect{
	schema: []string{mysqlSchema1, mysqlSchema2},
	db:     &sqldb.MySQL,

	// A view instead of a table may hide rows. It has no index, so the
	// statement fails.
	byKey: "FORCE INDEX (PRIMARY)",

	// ON DUPLICATE KEY UPDATE would need only one statement. But if the client
	// sets clientFoundRows, the affected-row count does not distinguish an insert
	// from a repetition. ON DUPLICATE KEY UPDATE also assigns the columns one after
	// the other, so a later comparison sees the changed value. Instead, replace is
	// run if this statement fails. Since no row is ever deleted, one of the two
	// applies, and each is atomic.
	put:         `INSERT INTO keyhatch_plans (` + columns + `, written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	isDuplicate: func(err error) bool { return sqldb.HasNumber(err, "1062") }, // duplicate entry
	replace: `UPDATE keyhatch_plans AS kept SET kind = ?, plan = ?, status = ?, since = ?, paid_from = ?, valid_until = ?,
			updated_at = ?, version = ?, written_at = GREATEST(?, written_at + 1)
		WHERE owner = ? AND subscription = ? AND ` + keptKind + ` = ? AND (updated_at < ? OR updated_at = ? AND version < ?)`,

	setOverride: `INSERT INTO keyhatch_plans_overrides (owner, overrides, written_at) VALUES (?, ?, ?)
		ON DUPLICATE KEY UPDATE overrides = VALUES(overrides), written_at = GREATEST(VALUES(written_at), written_at + 1)`,

	markProcessed: `INSERT INTO keyhatch_plans_events (event, refused, at, reason, body) VALUES (?, 0, ?, '', ?)
		ON DUPLICATE KEY UPDATE refused = 0, at = VALUES(at), reason = '', body = VALUES(body)`,

	saveRejected: `INSERT INTO keyhatch_plans_events (event, refused, at, reason, body) VALUES (?, 1, ?, ?, ?)
		ON DUPLICATE KEY UPDATE at = IF(refused = 1, VALUES(at), at),
			reason = IF(refused = 1, VALUES(reason), reason), body = IF(refused = 1, VALUES(body), body)`,
}
