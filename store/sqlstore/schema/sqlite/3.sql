-- Version 3 of this schema: a count of revocations, to notice that the database
-- has gone back to an earlier state. Store.Migrate runs it; a migration tool of
-- yours may do so instead. Programs that know an earlier version go on working,
-- but do not count.
--
-- The count is the sum over 64 rows, one of which a revocation changes, by its
-- owner, so that those of different owners hardly wait for each other. The
-- lineage tells these tables from other ones; it is the same in every row.
CREATE TABLE keyhatch_keys_revocations (
	slot    INTEGER NOT NULL PRIMARY KEY,
	revoked INTEGER NOT NULL,
	lineage TEXT NOT NULL
) STRICT;

INSERT INTO keyhatch_keys_revocations (slot, revoked, lineage)
	WITH RECURSIVE slots (slot, lineage) AS (
		SELECT 0, lower(hex(randomblob(16))) UNION ALL SELECT slot + 1, lineage FROM slots WHERE slot < 63
	)
	SELECT slot, 0, lineage FROM slots;

UPDATE keyhatch_keys_version SET version = 3 WHERE id = 1;
