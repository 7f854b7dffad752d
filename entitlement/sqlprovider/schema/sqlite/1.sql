-- The subscriptions of owners. Version 1 of the schema, for SQLite 3.41 and later.
-- Provider.Migrate runs this file. You can run it with your own migration tool
-- instead.
--
-- Instants are microseconds since 1970-01-01 UTC. NULL means never or unknown. Each
-- subscription of an owner has its own row, so that a newer state replaces the
-- older one of the same subscription only.
CREATE TABLE keyhatch_plans (
	owner        TEXT    NOT NULL CHECK (owner <> ''),
	subscription TEXT    NOT NULL, -- the billing system's ID; empty if the host grants it itself
	plan         TEXT    NOT NULL,
	status       TEXT    NOT NULL, -- active, trialing, past_due, ended or held
	since        INTEGER, -- when it began
	paid_from    INTEGER, -- when the last paid period began, if known; in a hold: the hold ends only periods that began no later
	valid_until  INTEGER,
	updated_at   INTEGER NOT NULL, -- by the billing system's clock
	version      INTEGER NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at   INTEGER NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription)
) STRICT, WITHOUT ROWID;

-- For polls of recently written rows.
CREATE INDEX keyhatch_plans_at ON keyhatch_plans (written_at, owner, subscription);

-- Overrides that support has granted to owners. They have a table of their own, so
-- that updates from the billing system cannot erase them and need no right to write
-- here.
CREATE TABLE keyhatch_plans_overrides (
	owner      TEXT    NOT NULL PRIMARY KEY CHECK (owner <> ''),
	overrides  TEXT,   -- a JSON object; NULL if the override was removed
	written_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keyhatch_plans_overrides_at ON keyhatch_plans_overrides (written_at, owner);

-- The billing system's events: processed events, and rejected events, which could
-- not be used and are kept for review.
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
