-- What owners have bought, version 1 of this schema, for SQLite 3.41 and later.
-- Provider.Migrate runs it; a migration tool of yours may do so instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never, or that
-- it is not known. There is a row for each of an owner's subscriptions, so that
-- a newer state of one replaces an older one of the same, whatever came of
-- the others.
CREATE TABLE keyhatch_plans (
	owner        TEXT    NOT NULL CHECK (owner <> ''),
	subscription TEXT    NOT NULL, -- the billing system's id; empty for what the host grants itself
	plan         TEXT    NOT NULL,
	status       TEXT    NOT NULL, -- active, past_due, ended or held
	since        INTEGER, -- when it began
	paid_from    INTEGER, -- when what was paid for last began, if known; a hold takes no more than was paid for until then
	valid_until  INTEGER,
	updated_at   INTEGER NOT NULL, -- by the billing system's clock
	version      INTEGER NOT NULL, -- tells apart what has the same updated_at
	written_at   INTEGER NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription)
) STRICT, WITHOUT ROWID;

-- What was written lately.
CREATE INDEX keyhatch_plans_at ON keyhatch_plans (written_at, owner, subscription);

-- What support granted to an owner in the place of what the plan says. It is a
-- table of its own since it is the host's and not the billing system's: nothing
-- that is written to the other one can erase it, and who fills that needs no
-- right to write here.
CREATE TABLE keyhatch_plans_overrides (
	owner      TEXT    NOT NULL PRIMARY KEY CHECK (owner <> ''),
	overrides  TEXT,   -- a JSON object; NULL when it was taken back
	written_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keyhatch_plans_overrides_at ON keyhatch_plans_overrides (written_at, owner);

-- The billing system's events: those that have been dealt with, and those that
-- were refused, which are kept for people to look at.
CREATE TABLE keyhatch_plans_events (
	event   TEXT    NOT NULL PRIMARY KEY CHECK (event <> ''),
	refused INTEGER NOT NULL CHECK (refused IN (0, 1)),
	at      INTEGER NOT NULL,
	reason  TEXT    NOT NULL,
	body    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keyhatch_plans_events_at ON keyhatch_plans_events (refused, at, event);

CREATE TABLE IF NOT EXISTS keyhatch_plans_version (
	id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	version INTEGER NOT NULL
);

INSERT INTO keyhatch_plans_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
