-- Version 3 of the schema: a count of revocations. It shows whether the database was
-- rolled back to an earlier state. Store.Migrate runs this file. Your own migration tool may
-- run it instead. Running programs that know only earlier versions keep working, but do
-- not count.
--
-- The count is the sum of 64 rows. A revocation changes one of them, chosen by its
-- owner, so revocations of different owners rarely wait for each other. The lineage
-- identifies this set of tables; it is the same in every row.
CREATE TABLE IF NOT EXISTS keyhatch_keys_revocations (
	slot    smallint NOT NULL PRIMARY KEY,
	revoked bigint NOT NULL,
	lineage text NOT NULL
);

INSERT INTO keyhatch_keys_revocations (slot, revoked, lineage)
	WITH RECURSIVE slots (slot, lineage) AS (
		SELECT 0, gen_random_uuid()::text UNION ALL SELECT slot + 1, lineage FROM slots WHERE slot < 63
	)
	SELECT slot, 0, lineage FROM slots;

UPDATE keyhatch_keys_version SET version = 3 WHERE id = 1;
