package sqlstore

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

	//go:embed schema/sqlite/4.sql
	sqliteSchema4 string
)

var sqlite = dialect{
	schema:  []string{sqliteSchema1, sqliteSchema2, sqliteSchema3, sqliteSchema4},
	db:      &sqldb.SQLite,
	prepare: true,

	// Without statistics, SQLite may choose another index of the owner.
	byCount:    "INDEXED BY keyhatch_keys_current", // it has all columns that are needed
	byReplaced: "INDEXED BY keyhatch_keys_replaced",
	byCurrent:  "INDEXED BY keyhatch_keys_current",

	// Keys that expire last are mostly the newest ones. If the newest keys are read first, few
	// other keys enter the sorted page. The LIMIT, which limits nothing, keeps the order.
	fence: "ORDER BY expires_at DESC LIMIT -1",

	// RETURNING does not show the changes of a trigger that runs after the statement.
	readBack: true,

	// SQLite has one write lock, which the first write of a transaction takes. If a
	// transaction reads first, and another transaction writes before the first one
	// does, the write of the first one fails, and so does every retry of that write.
	lock: `INSERT INTO keyhatch_keys_owners (owner, latest) VALUES (?, ?)
		ON CONFLICT (owner) DO UPDATE SET latest = max(latest, excluded.latest) RETURNING latest`,
	lockAgain: true,

	touch: `UPDATE keyhatch_keys AS k SET last_used_at = u.at
		FROM (SELECT unhex(value ->> 0) AS digest, value ->> 1 AS at FROM json_each(?)) AS u
		WHERE k.digest = u.digest AND k.revoked_at IS NULL
		AND (k.last_used_at IS NULL OR k.last_used_at < u.at
			OR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at)`,
}
