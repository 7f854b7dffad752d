-- Version 1 of the schema, for SQLite 3.41 or later: the keys that keyhatch has
-- issued. Store.Migrate runs this file. Your own migration tool may run it instead.
--
-- Times are microseconds since 1970-01-01 UTC; NULL means never. The digest is the
-- SHA-256 of the token. The token itself is not stored. Every request finds a row by
-- its digest, so the table is stored in the order of the digests.
CREATE TABLE keyhatch_keys (
	digest        BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
	id            TEXT    NOT NULL UNIQUE CHECK (id <> ''),
	owner         TEXT    NOT NULL CHECK (owner <> ''),
	name          TEXT    NOT NULL,
	hint          TEXT    NOT NULL,
	created_by    TEXT    NOT NULL,
	revoke_reason TEXT    NOT NULL,
	replaced_by   TEXT    NOT NULL, -- the id of the key that replaced it
	scopes        TEXT    NOT NULL, -- a JSON array of strings
	metadata      TEXT    NOT NULL, -- a JSON object of strings
	created_at    INTEGER NOT NULL,
	expires_at    INTEGER,
	disabled_at   INTEGER,
	revoked_at    INTEGER,
	last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

-- An owner's keys in the order of a list. The last two columns tell which keys have
-- ended, so a list of ended keys reads no rows of other keys.
CREATE INDEX keyhatch_keys_list ON keyhatch_keys (owner, created_at, id, revoked_at, expires_at);

-- An owner's keys that are not revoked. RevokeAll uses this index to find the keys
-- that are left.
CREATE INDEX keyhatch_keys_live ON keyhatch_keys (owner, replaced_by, expires_at)
	WHERE revoked_at IS NULL;

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
);

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
