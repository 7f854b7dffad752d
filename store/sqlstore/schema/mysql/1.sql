-- Version 1 of the schema, for MySQL 8.0.16 or MariaDB 10.6 or later: the keys that
-- keyhatch has issued. Store.Migrate runs this file. Your own migration tool may run
-- it instead.
--
-- Times are microseconds since 1970-01-01 UTC; NULL means never. The digest is the
-- SHA-256 of the token. The token itself is not stored. Every request finds a row by
-- its digest. Columns that are compared are VARBINARY. As text, owners that differ in
-- case, accents or trailing spaces could be equal.
CREATE TABLE IF NOT EXISTS keyhatch_keys (
	digest        VARBINARY(32)  NOT NULL PRIMARY KEY CHECK (OCTET_LENGTH(digest) = 32),
	id            VARBINARY(255) NOT NULL UNIQUE CHECK (OCTET_LENGTH(id) > 0),
	owner         VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(owner) > 0),
	name          TEXT CHARACTER SET utf8mb4 NOT NULL,
	hint          TEXT CHARACTER SET utf8mb4 NOT NULL,
	created_by    TEXT CHARACTER SET utf8mb4 NOT NULL,
	revoke_reason TEXT CHARACTER SET utf8mb4 NOT NULL,
	replaced_by   VARBINARY(255) NOT NULL, -- the id of the key that replaced it
	scopes        TEXT CHARACTER SET utf8mb4 NOT NULL, -- a JSON array of strings
	metadata      TEXT CHARACTER SET utf8mb4 NOT NULL, -- a JSON object of strings
	created_at    BIGINT NOT NULL,
	expires_at    BIGINT,
	disabled_at   BIGINT,
	revoked_at    BIGINT,
	last_used_at  BIGINT,

	-- An owner's keys in the order of a list. The last two columns tell which keys
	-- have ended, so a list of ended keys reads no rows of other keys.
	INDEX keyhatch_keys_list (owner, created_at, id, revoked_at, expires_at),

	-- An owner's keys that are not revoked. The count for the limit reads one range of this index
	-- and no ended keys. RevokeAll uses this index to find the keys that are left.
	INDEX keyhatch_keys_live (owner, revoked_at, replaced_by, expires_at)
) ENGINE = InnoDB;

-- One row for each owner. Every change of an owner's keys locks that row first, so
-- changes of one owner's keys wait for each other.
CREATE TABLE IF NOT EXISTS keyhatch_keys_owners (
	owner VARBINARY(255) NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
) ENGINE = InnoDB;

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON DUPLICATE KEY UPDATE version = 1;
