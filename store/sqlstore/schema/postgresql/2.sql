-- Version 2 of this schema: what a limit needs to hold at every instant.
-- Store.Migrate runs it; a migration tool of yours may do so instead. Programs
-- that know version 1 alone go on working, but do not keep to the new rules.
--
-- Changes of keys wait until the index is made, which took 0.9 s for a million keys on
-- a busy machine of two cores. Look-ups do not wait. To spare changes the wait, run
-- this beforehand, outside a transaction:
--
--	CREATE INDEX CONCURRENTLY keyhatch_keys_replaced ON keyhatch_keys (owner, expires_at, replaced_by)
--		WHERE revoked_at IS NULL AND replaced_by <> ''

-- The latest instant of a change of the owner's keys. No later change is judged
-- by an earlier one.
ALTER TABLE keyhatch_keys_owners ADD COLUMN IF NOT EXISTS latest bigint NOT NULL DEFAULT 0;

-- An owner's keys in their grace period, past any number of expired ones. Some of
-- them count against the limit.
CREATE INDEX IF NOT EXISTS keyhatch_keys_replaced ON keyhatch_keys (owner, expires_at, replaced_by)
	WHERE revoked_at IS NULL AND replaced_by <> '';

UPDATE keyhatch_keys_version SET version = 2 WHERE id = 1;
