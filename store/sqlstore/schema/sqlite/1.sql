-- The keys that keyhatch has issued, version 1 of this schema, for SQLite 3.41
-- and later. Store.Migrate runs it; a migration tool of yours may do so instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never. The
-- digest is the SHA-256 of a token and the only trace of it; a row is found by
-- it on every request, so the table is the index.
CREATE TABLE keyhatch_keys (
	digest        BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
	id            TEXT    NOT NULL UNIQUE CHECK (id <> ''),
	owner         TEXT    NOT NULL CHECK (owner <> ''),
	name          TEXT    NOT NULL,
	hint          TEXT    NOT NULL,
	created_by    TEXT    NOT NULL,
	revoke_reason TEXT    NOT NULL,
	replaced_by   TEXT    NOT NULL, -- the id of the key that came in its place
	scopes        TEXT    NOT NULL, -- a JSON array of strings
	metadata      TEXT    NOT NULL, -- a JSON object of strings
	created_at    INTEGER NOT NULL,
	expires_at    INTEGER,
	disabled_at   INTEGER,
	revoked_at    INTEGER,
	last_used_at  INTEGER
) STRICT, WITHOUT ROWID;

-- An owner's keys, newest first. A list of those that are live, or of those that
-- are over, passes over the others here.
CREATE INDEX keyhatch_keys_list ON keyhatch_keys (owner, created_at, id, revoked_at, expires_at);

-- An owner's keys that are not revoked. The limit is counted here, past any
-- number of dead keys, and RevokeAll finds here what is left to revoke.
CREATE INDEX keyhatch_keys_live ON keyhatch_keys (owner, replaced_by, expires_at)
	WHERE revoked_at IS NULL;

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
);

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
