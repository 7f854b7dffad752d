package sqlstore

import (
	"strings"
)

const columns = `digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
	scopes, metadata, created_at, expires_at, disabled_at, revoked_at, last_used_at`

// statements holds the SQL of a Store, for its tables and its dialect.
type statements struct {
	lookup, get, first, next, batch string
	recent, current, ended          string
	count, insert, revoke, replace  string
	lock, latest, touch             string
	revocations, countRevocations   string
	returning, revokeAtOnce         string
}

func (s *Store) statements() statements {
	return statements{
		lookup: s.read(`SELECT ` + columns + ` FROM keyhatch_keys ` + s.dialect.byDigest + ` WHERE digest = ?`),
		get:    s.read(`SELECT ` + columns + ` FROM keyhatch_keys ` + s.dialect.byID + ` WHERE id = ?`),
		first: s.read(`SELECT ` + columns + ` FROM keyhatch_keys ` + s.dialect.byList + ` WHERE owner = ?
			ORDER BY created_at DESC, id DESC LIMIT ?`),

		// The condition is not (created_at, id) < (?, ?), since MySQL would not use the index then.
		next: s.read(`SELECT ` + columns + ` FROM keyhatch_keys ` + s.dialect.byList + `
			WHERE owner = ? AND created_at <= ? AND (created_at < ? OR id < ?)
			ORDER BY created_at DESC, id DESC LIMIT ?`),
		recent:  s.recent(),
		current: s.current(),
		ended:   s.ended(),

		// In the order of the index, so that only the batch is read.
		batch: s.read(`SELECT ` + columns + ` FROM (
				SELECT digest AS listed FROM keyhatch_keys ` + s.dialect.byUnrevoked + ` WHERE owner = ? AND revoked_at IS NULL
				ORDER BY replaced_by, expires_at LIMIT ?
			) AS batch JOIN keyhatch_keys AS k ON k.digest = batch.listed ` + s.dialect.inOrder),

		count: s.read(`SELECT ` + s.counted("endless", s.dialect.byCount, "replaced_by = '' AND expires_at IS NULL") + ` + ` +
			s.counted("ending", s.dialect.byCount, "replaced_by = '' AND expires_at > ?") + ` + ` +
			s.counted("replaced", s.dialect.byReplaced, unpaid+" AND expires_at > ?") + ` + ` +
			s.counted("endlessly", s.dialect.byReplaced, unpaid+" AND expires_at IS NULL")),
		insert: s.text(`INSERT INTO keyhatch_keys (` + columns + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ` + s.dialect.unlessTaken),
		revoke: s.text(`UPDATE keyhatch_keys SET revoked_at = ?, revoke_reason = ?
			WHERE id = ? AND revoked_at IS NULL`),
		replace: s.text(`UPDATE keyhatch_keys SET replaced_by = ?, expires_at = ?, revoked_at = ?, revoke_reason = ?
			WHERE id = ? AND revoked_at IS NULL`),
		lock:   s.text(s.dialect.lock),
		latest: s.text(s.dialect.latest),
		touch:  s.text(s.dialect.touch),

		revocations:      s.text(`SELECT count(*), coalesce(min(lineage), ''), coalesce(sum(revoked), 0) FROM keyhatch_keys_revocations`),
		countRevocations: s.text(`UPDATE keyhatch_keys_revocations SET revoked = revoked + ? WHERE slot = ?`),

		returning: ` RETURNING ` + columns,
		revokeAtOnce: s.text(s.dialect.revoke + s.dialect.db.Whole(
			`SELECT `+columns+`, EXISTS (SELECT 1 FROM counted) FROM revoked`, DefaultTable)),
	}
}

// unpaid is the condition for a replaced record that counts: its direct successor has
// ended, was itself replaced, or does not exist.
const unpaid = `replaced_by <> '' AND NOT EXISTS (SELECT 1 FROM keyhatch_keys AS s
	WHERE s.id = k.replaced_by AND s.owner = k.owner AND s.revoked_at IS NULL AND s.replaced_by = ''
	AND (s.expires_at IS NULL OR s.expires_at > ?))`

// counted returns a subquery that counts an owner's records in one range of an index, up
// to a limit. It does not read ended records.
func (s *Store) counted(name, index, condition string) string {
	return `(SELECT count(*) FROM (SELECT 1 FROM keyhatch_keys AS k ` + index + ` WHERE k.owner = ? AND k.revoked_at IS NULL
		AND ` + condition + ` ` + s.dialect.byExpiry + ` LIMIT ?) AS ` + name + `)`
}

// recent lists a page of the keys that are neither revoked nor expired, as far as they
// are among the latest keys. The index has the columns of the condition. If these keys
// do not fill the page, and the owner has more keys than the latest ones, the result
// also has the next key, with true in its last column. PostgreSQL and SQLite do not look
// for the next key if the page is full.
func (s *Store) recent() string {
	latest := ` FROM keyhatch_keys ` + s.dialect.byList + `
		WHERE owner = ? AND created_at <= ? AND (created_at < ? OR id < ?)
		ORDER BY created_at DESC, id DESC LIMIT `
	return s.read(`SELECT ` + columns + `, older FROM (
			SELECT listed, false AS older FROM (
				SELECT listed FROM (
					SELECT id AS listed, created_at AS listed_at, revoked_at AS revoked, expires_at AS expires` + latest + `?
				) AS latest WHERE revoked IS NULL AND (expires IS NULL OR expires > ?)
				ORDER BY listed_at DESC, listed DESC LIMIT ?
			) AS found UNION ALL SELECT listed, true FROM (SELECT id AS listed` + latest + `1 OFFSET ?) AS following
			LIMIT ?
		) AS recent JOIN keyhatch_keys AS k ON k.id = recent.listed`)
}

// current lists a page of the keys that are neither revoked nor expired. It joins two pages. The
// first page has keys that never expire, which the index has in the order of the list. The second
// page has keys that expire. For it, the database sorts all of the owner's keys that expire. Both
// pages are found in the index alone, and neither reads the entry of an ended key. The result may
// have twice the limit, unsorted.
func (s *Store) current() string {
	return s.read(`SELECT ` + columns + ` FROM (
			SELECT listed FROM (
				SELECT id AS listed FROM keyhatch_keys ` + s.dialect.byCurrent + `
				WHERE owner = ? AND revoked_at IS NULL AND expires_at IS NULL
				AND created_at <= ? AND (created_at < ? OR id < ?)
				ORDER BY ` + s.dialect.endless + `created_at DESC, id DESC LIMIT ?
			) AS endless UNION ALL SELECT listed FROM (
				SELECT listed FROM (
					SELECT id AS listed, created_at AS listed_at FROM keyhatch_keys ` + s.dialect.byCurrent + `
					WHERE owner = ? AND revoked_at IS NULL AND expires_at > ? ` + s.dialect.fence + `
				) AS unexpired WHERE listed_at <= ? AND (listed_at < ? OR listed < ?)
				ORDER BY listed_at DESC, listed DESC LIMIT ?
			) AS ending
		) AS page JOIN keyhatch_keys AS k ON k.id = page.listed`)
}

// ended lists a page of the keys that are revoked or expired. The index has the
// columns of the condition, so a row is read only if it is on the page.
func (s *Store) ended() string {
	return s.read(`SELECT ` + columns + ` FROM keyhatch_keys AS k JOIN (
			SELECT id AS listed FROM keyhatch_keys ` + s.dialect.byList + ` WHERE owner = ?
			AND (revoked_at IS NOT NULL OR expires_at <= ?) AND created_at <= ? AND (created_at < ? OR id < ?)
			ORDER BY created_at DESC, id DESC LIMIT ?
		) AS page ON k.id = page.listed
		ORDER BY created_at DESC, id DESC`)
}

// revokeBatch returns a statement that revokes records by n digests. With a condition
// on the owner, SQLite would read all keys of the owner instead.
func (s *Store) revokeBatch(n int) string {
	return s.text(`UPDATE keyhatch_keys ` + s.dialect.byDigest + ` SET revoked_at = ?, revoke_reason = ?
		WHERE revoked_at IS NULL AND digest IN (?` + strings.Repeat(", ?", n-1) + `)`)
}

// byDigests returns a query for records by n digests.
func (s *Store) byDigests(n int) string {
	return s.text(`SELECT ` + columns + ` FROM keyhatch_keys ` + s.dialect.byDigest + `
		WHERE digest IN (?` + strings.Repeat(", ?", n-1) + `)`)
}

// read adapts a SELECT statement, which then fails if the database may leave out keys.
func (s *Store) read(statement string) string {
	return s.tables.Read(statement, "")
}

// text adapts a statement to the database; see [sqldb.Tables.Text].
func (s *Store) text(statement string) string { return s.tables.Text(statement) }
