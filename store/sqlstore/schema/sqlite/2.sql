-- Version 2 of the schema: with it, a limit holds at every instant. Store.Migrate runs
-- this file. Your own migration tool may run it instead. Running programs that know
-- only version 1 keep working, but do not follow the new rules.
--
-- Writers wait while SQLite builds the index. That took 2.6 s for 1,000,000 keys on a
-- busy machine with two cores. Readers do not wait.

-- The latest instant of a change of the owner's keys. A change takes effect at this
-- instant or at its own, whichever is later.
CREATE TABLE keyhatch_keys_owners (
	owner  TEXT    NOT NULL PRIMARY KEY,
	latest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An owner's replaced keys in the order of their expiry. The keys still in their grace
-- period are one range of the index, and some of these keys count against the limit.
CREATE INDEX keyhatch_keys_replaced ON keyhatch_keys (owner, expires_at, replaced_by)
	WHERE revoked_at IS NULL AND replaced_by <> '';

UPDATE keyhatch_keys_version SET version = 2 WHERE id = 1;
