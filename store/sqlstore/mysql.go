package sqlstore

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

	//go:embed schema/mysql/4.sql
	mysqlSchema4 string
)

var mysql = dialect{
	schema:  []string{mysqlSchema1, mysqlSchema2, mysqlSchema3, mysqlSchema4},
	db:      &sqldb.MySQL,
	prepare: true,

	// INSERT IGNORE would also ignore values that are too long, and if the client sets
	// clientFoundRows, the affected-row count does not distinguish an insert from a
	// repetition. Without strict mode, INSERT and UPDATE truncate values that are too
	// long.
	readBack: true,

	lock: `INSERT INTO keyhatch_keys_owners (owner, latest) VALUES (?, ?)
		ON DUPLICATE KEY UPDATE latest = GREATEST(latest, VALUES(latest))`,
	latest: `SELECT latest FROM keyhatch_keys_owners WHERE owner = ?`,

	// A view instead of the table may hide rows. It has no index, so the statement
	// fails.
	byDigest: "FORCE INDEX (PRIMARY)",
	byID:     "FORCE INDEX (id)",

	// If an owner has a large part of all keys, the server would otherwise read the
	// whole table, and lock the rows of every other owner.
	byUnrevoked: "FORCE INDEX (keyhatch_keys_live)",
	byCount:     "FORCE INDEX (keyhatch_keys_live)",
	byReplaced:  "FORCE INDEX (keyhatch_keys_replaced)",
	byCurrent:   "FORCE INDEX (keyhatch_keys_current)",

	// For the next page of such an owner, the server would read all earlier pages.
	byList: "FORCE INDEX (keyhatch_keys_list)",

	touch: `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (digest CHAR(64) PATH '$[0]', at BIGINT PATH '$[1]')) AS u
		STRAIGHT_JOIN keyhatch_keys AS k ON k.digest = UNHEX(u.digest)
		SET k.last_used_at = u.at
		WHERE k.revoked_at IS NULL AND (k.last_used_at IS NULL OR k.last_used_at < u.at
			OR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at)`,
}
