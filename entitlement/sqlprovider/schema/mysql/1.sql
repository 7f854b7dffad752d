-- The subscriptions of owners. Version 1 of the schema, for MySQL 8.0.16 or MariaDB
-- 10.6 and later. Provider.Migrate runs this file. You can run it with your own
-- migration tool instead.
--
-- Instants are microseconds since 1970-01-01 UTC. NULL means never or unknown. Each
-- subscription of an owner has its own row, so that a newer state replaces the
-- older one of the same subscription only. Columns that are compared are VARBINARY:
-- as text, owners that differ only in case, accents or trailing spaces could be
-- equal.
CREATE TABLE IF NOT EXISTS keyhatch_plans (
	owner        VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(owner) > 0),
	subscription VARBINARY(255) NOT NULL, -- the billing system's ID; empty if the host grants it itself
	plan         VARBINARY(255) NOT NULL,
	status       VARBINARY(16)  NOT NULL, -- active, trialing, past_due, ended or held
	since        BIGINT, -- when it began
	paid_from    BIGINT, -- when the last paid period began, if known; in a hold: the hold ends only periods that began no later
	valid_until  BIGINT,
	updated_at   BIGINT NOT NULL, -- by the billing system's clock
	version      BIGINT NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at   BIGINT NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription),

	-- For polls of recently written rows.
	INDEX keyhatch_plans_at (written_at, owner, subscription)
) ENGINE = InnoDB;

-- Overrides that support has granted to owners. They have a table of their own, so
-- that updates from the billing system cannot erase them and need no right to write
-- here.
CREATE TABLE IF NOT EXISTS keyhatch_plans_overrides (
	owner      VARBINARY(255) NOT NULL PRIMARY KEY CHECK (OCTET_LENGTH(owner) > 0),
	overrides  TEXT CHARACTER SET utf8mb4, -- a JSON object; NULL if the override was removed
	written_at BIGINT NOT NULL,

	INDEX keyhatch_plans_overrides_at (written_at, owner)
) ENGINE = InnoDB;

-- The billing system's events: processed events, and rejected events, which could
-- not be used and are kept for review.
CREATE TABLE IF NOT EXISTS keyhatch_plans_events (
	event   VARBINARY(255) NOT NULL PRIMARY KEY CHECK (OCTET_LENGTH(event) > 0),
	refused INTEGER NOT NULL CHECK (refused IN (0, 1)),
	at      BIGINT NOT NULL,
	reason  TEXT CHARACTER SET utf8mb4 NOT NULL,
	body    MEDIUMBLOB NOT NULL,

	INDEX keyhatch_plans_events_at (refused, at, event)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS keyhatch_plans_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
) ENGINE = InnoDB;

INSERT INTO keyhatch_plans_version (id, version) VALUES (1, 1)
	ON DUPLICATE KEY UPDATE version = 1;
