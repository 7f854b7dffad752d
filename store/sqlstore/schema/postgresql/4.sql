-- Version 4 of the schema: an index for the list of an owner's current keys, those that
-- are neither revoked nor expired. Store.Migrate runs this file. Your own migration
-- tool may run it instead. Running programs that know only earlier versions keep
-- working.
--
-- Writers wait while PostgreSQL builds the index. That took 3 s for 1,300,000 keys
-- on an overloaded machine with two cores. Readers do not wait. If writers must not
-- wait either, run this beforehand, outside a transaction:
--
--	CREATE INDEX CONCURRENTLY keyhatch_keys_current ON keyhatch_keys (owner, expires_at, created_at, id)
--		WHERE revoked_at IS NULL
--
-- If that statement fails, it leaves an invalid index, and Migrate returns an error.
-- Drop that index first.

-- An owner's keys that are not revoked, in the order of expiry. The keys that never expire are in the
-- order in which a list shows them. The other keys that have not expired form one range of the
-- index.
CREATE INDEX IF NOT EXISTS keyhatch_keys_current ON keyhatch_keys (owner, expires_at, created_at, id)
	WHERE revoked_at IS NULL;

UPDATE keyhatch_keys_version SET version = 4 WHERE id = 1;
