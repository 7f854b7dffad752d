-- Version 2 of this schema: what a limit needs to hold at every instant.
-- Store.Migrate runs it; a migration tool of yours may do so instead. Programs
-- that know version 1 alone go on working, but do not keep to the new rules.
--
-- The server adds the column without copying the table, and makes the index while
-- others read and write, which took 6 s for a million keys on a busy machine of two
-- cores. Each statement waits at its beginning and at its end for the transactions that
-- use its table, and others wait behind it for that moment.

-- The latest instant of a change of the owner's keys. No later change is judged
-- by an earlier one.
ALTER TABLE keyhatch_keys_owners ADD COLUMN latest BIGINT NOT NULL DEFAULT 0;

-- An owner's keys in their grace period, past any number of expired ones. Some of
-- them count against the limit.
ALTER TABLE keyhatch_keys ADD INDEX keyhatch_keys_replaced (owner, revoked_at, expires_at, replaced_by);

UPDATE keyhatch_keys_version SET version = 2 WHERE id = 1;
