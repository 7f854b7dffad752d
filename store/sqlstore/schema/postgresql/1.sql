-- Version 1 of the schema, for PostgreSQL 13 or later: the keys that keyhatch has
-- issued. Store.Migrate runs this file. Your own migration tool may run it instead.
--
-- Times are microseconds since 1970-01-01 UTC; NULL means never. The digest is the
-- SHA-256 of the token. The token itself is not stored. Every request finds a row by
-- its digest. Columns that are compared have the collation "C", so they are compared
-- byte by byte in every database.
CREATE TABLE keyhatch_keys (
	digest        bytea  NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
	id            text   NOT NULL COLLATE "C" UNIQUE CHECK (id <> ''),
	owner         text   NOT NULL COLLATE "C" CHECK (owner <> ''),
	name          text   NOT NULL,
	hint          text   NOT NULL,
	created_by    text   NOT NULL,
	revoke_reason text   NOT NULL,
	replaced_by   text   NOT NULL COLLATE "C", -- the id of the key that replaced it
	scopes        text   NOT NULL, -- a JSON array of strings
	metadata      text   NOT NULL, -- a JSON object of strings
	created_at    bigint NOT NULL,
	expires_at    bigint,
	disabled_at   bigint,
	revoked_at    bigint,
	last_used_at  bigint
);

-- An owner's keys in the order of a list. The last two columns tell which keys have
-- ended, so a list of ended keys reads no rows of other keys.
CREATE INDEX keyhatch_keys_list ON keyhatch_keys (owner, created_at, id, revoked_at, expires_at);

-- An owner's keys that are not revoked. The count for the limit reads one range of
-- this index and no ended keys. RevokeAll uses this index to find the keys that are left.
CREATE INDEX keyhatch_keys_live ON keyhatch_keys (owner, replaced_by, expires_at)
	WHERE revoked_at IS NULL;

-- One row for each owner. Every change of an owner's keys locks that row first, so
-- changes of one owner's keys wait for each other.
CREATE TABLE keyhatch_keys_owners (
	owner text NOT NULL COLLATE "C" PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      integer NOT NULL PRIMARY KEY CHECK (id = 1),
	version integer NOT NULL
);

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
