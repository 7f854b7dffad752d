package sqlstore

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

	//go:embed schema/postgresql/4.sql
	postgresSchema4 string
)

var postgres = dialect{
	schema:      []string{postgresSchema1, postgresSchema2, postgresSchema3, postgresSchema4},
	db:          &sqldb.PostgreSQL,
	unlessTaken: "ON CONFLICT DO NOTHING",
	inOrder:     "ORDER BY digest FOR UPDATE OF k",
	byExpiry:    "ORDER BY expires_at", // otherwise the server reads the whole table if the owner has most of its rows
	endless:     "expires_at DESC, ",
	fence:       "OFFSET 0",

	// A transaction that finds the row locked waits, and then sees the other's changes.
	lock: `INSERT INTO keyhatch_keys_owners AS o (owner, latest) VALUES (?, ?)
		ON CONFLICT (owner) DO UPDATE SET latest = GREATEST(o.latest, EXCLUDED.latest) RETURNING latest`,

	// If there is no record to revoke, the statement only locks. The lock comes first,
	// since the UPDATE needs the row of the lock.
	revoke: `WITH locked AS (
			INSERT INTO keyhatch_keys_owners AS o (owner, latest) VALUES (?, ?)
			ON CONFLICT (owner) DO UPDATE SET latest = GREATEST(o.latest, EXCLUDED.latest)
			RETURNING o.owner AS of, o.latest AS moved
		), revoked AS (
			UPDATE keyhatch_keys SET revoked_at = ?, revoke_reason = ? FROM locked
			WHERE id = ? AND owner = locked.of AND revoked_at IS NULL AND locked.moved >= ?
			RETURNING ` + columns + `
		), counted AS (
			UPDATE keyhatch_keys_revocations SET revoked = revoked + 1
			WHERE slot = ? AND EXISTS (SELECT 1 FROM revoked) RETURNING slot
		) `,

	touch: `WITH uses AS (
			SELECT decode(value ->> 0, 'hex') AS digest, (value ->> 1)::bigint AS at
			FROM jsonb_array_elements(?::text::jsonb)
		), locked AS (
			SELECT k.digest, uses.at FROM uses JOIN keyhatch_keys AS k USING (digest)
			WHERE k.revoked_at IS NULL ORDER BY k.digest FOR UPDATE OF k
		)
		UPDATE keyhatch_keys AS k SET last_used_at = locked.at FROM locked
		WHERE k.digest = locked.digest AND k.revoked_at IS NULL
		AND (k.last_used_at IS NULL OR k.last_used_at < locked.at
			OR k.last_used_at > locked.at + 86400000000 AND k.created_at <= locked.at)`,
}
