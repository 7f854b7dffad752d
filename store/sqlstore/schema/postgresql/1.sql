-- The keys that keyhatch has issued, version 1 of this schema, for PostgreSQL
-- 13 and later. Store.Migrate runs it; a migration tool of yours may do so
-- instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never. The
-- digest is the SHA-256 of a token and the only trace of it; a row is found by
-- it on every request. Texts that are compared have the collation of their
-- bytes, whatever the database's.
CREATE TABLE keyhatch_keys (
	digest        bytea  NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
	id            text   NOT NULL COLLATE "C" UNIQUE CHECK (id <> ''),
	owner         text   NOT NULL COLLATE "C" CHECK (owner <> ''),
	name          text   NOT NULL,
	hint          text   NOT NULL,
	created_by    text   NOT NULL,
	revoke_reason text   NOT NULL,
	replaced_by   text   NOT NULL COLLATE "C", -- the id of the key that came in its place
	scopes        text   NOT NULL, -- a JSON array of strings
	metadata      text   NOT NULL, -- a JSON object of strings
	created_at    bigint NOT NULL,
	expires_at    bigint,
	disabled_at   bigint,
	revoked_at    bigint,
	last_used_at  bigint
);

-- An owner's keys, newest first. A list of those that are live, or of those that
-- are over, passes over the others here.
CREATE INDEX keyhatch_keys_list ON keyhatch_keys (owner, created_at, id, revoked_at, expires_at);

-- An owner's keys that are not revoked. The limit is counted here, past any
-- number of dead keys, and RevokeAll finds here what is left to revoke.
CREATE INDEX keyhatch_keys_live ON keyhatch_keys (owner, replaced_by, expires_at)
	WHERE revoked_at IS NULL;

-- A row to lock for each owner: whoever changes keys of one owner waits here
-- for the others who do.
CREATE TABLE keyhatch_keys_owners (
	owner text NOT NULL COLLATE "C" PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS keyhatch_keys_version (
	id      integer NOT NULL PRIMARY KEY CHECK (id = 1),
	version integer NOT NULL
);

INSERT INTO keyhatch_keys_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
