-- Version 2 of this schema: what a limit needs to hold at every instant.
-- Store.Migrate runs it; a migration tool of yours may do so instead. Programs
-- that know version 1 alone go on working, but do not keep to the new rules.
-- Writers wait while the index is made, which took 2.6 s for a million keys on a busy
-- machine of two cores. Readers do not wait.

-- The latest instant of a change of the owner's keys. No later change is judged
-- by an earlier one.
CREATE TABLE keyhatch_keys_owners (
	owner  TEXT    NOT NULL PRIMARY KEY,
	latest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An owner's keys in their grace period, past any number of expired ones. Some of
-- them count against the limit.
CREATE INDEX keyhatch_keys_replaced ON keyhatch_keys (owner, expires_at, replaced_by)
	WHERE revoked_at IS NULL AND replaced_by <> '';

UPDATE keyhatch_keys_version SET version = 2 WHERE id = 1;
