-- The keys that keyhatch has issued, version 1 of this schema, for MySQL 8.0.16
-- or MariaDB 10.6 and later. Store.Migrate runs it; a migration tool of yours
-- may do so instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never. The
-- digest is the SHA-256 of a token and the only trace of it; a row is found by
-- it on every request. Columns that are compared are VARBINARY: as text, two
-- owners that differ in case, accents or trailing blanks could be one.
CREATE TABLE IF NOT EXISTS keyhatch_keys (
	digest        VARBINARY(32)  NOT NULL PRIMARY KEY CHECK (OCTET_LENGTH(digest) = 32),
	id            VARBINARY(255) NOT NULL UNIQUE CHECK (OCTET_LENGTH(id) > 0),
	owner         VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(owner) > 0),
	name          TEXT CHARACTER SET utf8mb4 NOT NULL,
	hint          TEXT CHARACTER SET utf8mb4 NOT NULL,
	created_by    TEXT CHARACTER SET utf8mb4 NOT NULL,
	revoke_reason TEXT CHARACTER SET utf8mb4 NOT NULL,
	replaced_by   VARBINARY(255) NOT NULL, -- the id of the key that came in its place
	scopes        TEXT CHARACTER SET utf8mb4 NOT NULL, -- a JSON array of strings
	metadata      TEXT CHARACTER SET utf8mb4 NOT NULL, -- a JSON object of strings
	created_at    BIGINT NOT NULL,
	expires_at    BIGINT,
	disabled_at   BIGINT,
	revoked_at    BIGINT,
	last_used_at  BIGINT,

	-- An owner's keys, newest first. A list of those that are live, or of those
	-- that are over, passes over the others here.
	INDEX keyhatch_keys_list (owner, created_at, id, revoked_at, expires_at),

	-- An owner's keys that are not revoked. The limit is counted here, past any
	-- number of dead keys, and RevokeAll finds here what is left to revoke.
	INDEX keyhatch_keys_live (owner, revoked_at, replaced_by, expires_at)
) ENGINE = InnoDB;

-- A row to lock for each owner: whoever changes keys of one owner waits here
-- for the others who do.
CREATE TABLE IF NOT EXISTS keyhatch_keys_owners (
	owner VARBINARY(255) NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
) ENGINE = InnoDB;

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON DUPLICATE KEY UPDATE version = 1;
