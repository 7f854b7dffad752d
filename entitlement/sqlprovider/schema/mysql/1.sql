-- What owners have bought, version 1 of this schema, for MySQL 8.0.16 or MariaDB
-- 10.6 and later. Provider.Migrate runs it; a migration tool of yours may do so
-- instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never, or that
-- it is not known. There is a row for each of an owner's subscriptions, so that
-- a newer state of one replaces an older one of the same, whatever came of
-- the others. Columns that are compared are VARBINARY: as text, two owners that
-- differ in case, accents or trailing blanks could be one.
CREATE TABLE IF NOT EXISTS keyhatch_plans (
	owner        VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(owner) > 0),
	subscription VARBINARY(255) NOT NULL, -- the billing system's id; empty for what the host grants itself
	plan         VARBINARY(255) NOT NULL,
	status       VARBINARY(16)  NOT NULL, -- active, past_due, ended or held
	since        BIGINT, -- when it began
	paid_from    BIGINT, -- when what was paid for last began, if known; a hold takes no more than was paid for until then
	valid_until  BIGINT,
	updated_at   BIGINT NOT NULL, -- by the billing system's clock
	version      BIGINT NOT NULL, -- tells apart what has the same updated_at
	written_at   BIGINT NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription),

	-- What was written lately.
	INDEX keyhatch_plans_at (written_at, owner, subscription)
) ENGINE = InnoDB;

-- What support granted to an owner in the place of what the plan says. It is a
-- table of its own since it is the host's and not the billing system's: nothing
-- that is written to the other one can erase it, and who fills that needs no
-- right to write here.
CREATE TABLE IF NOT EXISTS keyhatch_plans_overrides (
	owner      VARBINARY(255) NOT NULL PRIMARY KEY CHECK (OCTET_LENGTH(owner) > 0),
	overrides  TEXT CHARACTER SET utf8mb4, -- a JSON object; NULL when it was taken back
	written_at BIGINT NOT NULL,

	INDEX keyhatch_plans_overrides_at (written_at, owner)
) ENGINE = InnoDB;

-- The billing system's events: those that have been dealt with, and those that
-- were refused, which are kept for people to look at.
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
