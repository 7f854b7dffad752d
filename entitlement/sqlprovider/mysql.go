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

	//go:embed schema/mysql/3.sql
	mysqlSchema3 string
)

var mysql = dialect{
	schema: []string{mysqlSchema1, mysqlSchema2, mysqlSchema3},
	db:     &sqldb.MySQL,

	// A view instead of a table may hide rows. It has no index, so the
	// statement fails.
	byKey: "FORCE INDEX (PRIMARY)", byOwner: "FORCE INDEX (keyhatch_plans_owner)",
	byParent: "FORCE INDEX (keyhatch_plans_parent)", byCustomer: "FORCE INDEX (keyhatch_plans_customer)",

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

	saveRejected: `INSERT INTO keyhatch_plans_rejected (source, event, at, reason, body) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE at = VALUES(at), reason = VALUES(reason), body = VALUES(body)`,

	putRecord: `INSERT INTO keyhatch_plans_records (` + insertedColumns + `) VALUES (` + insertedMarks + `)`,
	replaceRecord: `UPDATE keyhatch_plans_records SET
			owner = IF(owner = '', ?, owner),
			customer = IF(? = '', customer, ?), plan = ?, status = ?, started_at = ?, period_start = ?,
			period_end = ?, amount = ?, currency = ?, updated_at = ?, version = ?, written_at = GREATEST(?, written_at + 1)
		WHERE source = ? AND kind = ? AND id = ? AND (updated_at < ? OR updated_at = ? AND version < ?)
			AND parent_kind = ? AND parent = ? AND (? = '' OR customer = '' OR customer = ?)
			AND (owner IN ('', ?) OR previous_owner <> '')`,
}
