package sqlstore

import "strings"

const columns = `digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
	scopes, metadata, created_at, expires_at, disabled_at, revoked_at, last_used_at`

// statements are the SQL of a Store, for its table and its database.
type statements struct {
	lookup, get, first, next, live               string
	count, insert, revoke, revokeAll, replace    string
	touch                                        string
	createVersion, noVersion, version, versioned string
}

func (s *Store) statements() statements {
	return statements{
		lookup: s.text(`SELECT ` + columns + ` FROM keyhatch_keys WHERE digest = ?`),
		get:    s.text(`SELECT ` + columns + ` FROM keyhatch_keys WHERE id = ?`),
		first: s.text(`SELECT ` + columns + ` FROM keyhatch_keys WHERE owner = ?
			ORDER BY created_at DESC, id DESC LIMIT ?`),
		next: s.text(`SELECT ` + columns + ` FROM keyhatch_keys WHERE owner = ? AND (created_at, id) < (?, ?)
			ORDER BY created_at DESC, id DESC LIMIT ?`),
		live: s.text(`SELECT ` + columns + ` FROM keyhatch_keys WHERE owner = ? AND revoked_at IS NULL`),

		// Two ranges of one index, each read no further than the limit: an
		// owner's dead keys cost nothing, however many there are.
		count: s.text(`SELECT
			(SELECT count(*) FROM (SELECT 1 FROM keyhatch_keys WHERE owner = ? AND revoked_at IS NULL
				AND replaced_by = '' AND expires_at IS NULL LIMIT ?) AS endless) +
			(SELECT count(*) FROM (SELECT 1 FROM keyhatch_keys WHERE owner = ? AND revoked_at IS NULL
				AND replaced_by = '' AND expires_at > ? LIMIT ?) AS ending)`),
		insert: s.text(`INSERT INTO keyhatch_keys (` + columns + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ` + s.dialect.unlessTaken),
		revoke: s.text(`UPDATE keyhatch_keys SET revoked_at = ?, revoke_reason = ?
			WHERE id = ? AND revoked_at IS NULL`),
		revokeAll: s.text(`UPDATE keyhatch_keys SET revoked_at = ?, revoke_reason = ?
			WHERE owner = ? AND revoked_at IS NULL`),
		replace: s.text(`UPDATE keyhatch_keys SET replaced_by = ?, expires_at = ?, revoked_at = ?, revoke_reason = ?
			WHERE id = ? AND revoked_at IS NULL`),
		touch: s.text(s.dialect.touch),

		createVersion: s.text(`CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
			id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`),
		noVersion: s.text(`INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 0) ` + s.dialect.unlessTaken),
		version:   s.text(`SELECT version FROM keyhatch_keys_version WHERE id = 1`),
		versioned: s.text(`UPDATE keyhatch_keys_version SET version = ? WHERE id = 1`),
	}
}

// text turns a statement into the database's own: its table's name, which was
// checked by New and is all that is ever put into a statement, and its
// placeholders.
func (s *Store) text(statement string) string {
	parts := strings.Split(statement, "?")
	var b strings.Builder
	b.WriteString(s.named(parts[0]))
	for i, part := range parts[1:] {
		b.WriteString(s.dialect.placeholder(i + 1))
		b.WriteString(s.named(part))
	}
	return b.String()
}

func (s *Store) named(statement string) string {
	return strings.ReplaceAll(statement, DefaultTable, s.table)
}
