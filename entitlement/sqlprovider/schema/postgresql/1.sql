-- The subscriptions of owners. Version 1 of the schema, for PostgreSQL 13 and later.
-- Provider.Migrate runs this file. You can run it with your own migration tool
-- instead.
--
-- Instants are microseconds since 1970-01-01 UTC. NULL means never or unknown. Each
-- subscription of an owner has its own row, so that a newer state replaces the
-- older one of the same subscription only. Texts that are compared have the
-- collation "C", which compares bytes, since the database's own may not.
CREATE TABLE keyhatch_plans (
	owner        text   NOT NULL COLLATE "C" CHECK (owner <> ''),
	subscription text   NOT NULL COLLATE "C", -- the billing system's ID; empty if the host grants it itself
	plan         text   NOT NULL COLLATE "C",
	status       text   NOT NULL COLLATE "C", -- active, trialing, past_due, ended or held
	since        bigint, -- when it began
	paid_from    bigint, -- when the last paid period began, if known; in a hold: the hold ends only periods that began no later
	valid_until  bigint,
	updated_at   bigint NOT NULL, -- by the billing system's clock
	version      bigint NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at   bigint NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription)
);

-- For polls of recently written rows.
CREATE INDEX keyhatch_plans_at ON keyhatch_plans (written_at, owner, subscription);

-- Overrides that support has granted to owners. They have a table of their own, so
-- that updates from the billing system cannot erase them and need no right to write
-- here.
CREATE TABLE keyhatch_plans_overrides (
	owner      text   NOT NULL COLLATE "C" PRIMARY KEY CHECK (owner <> ''),
	overrides  text,  -- a JSON object; NULL if the override was removed
	written_at bigint NOT NULL
);

CREATE INDEX keyhatch_plans_overrides_at ON keyhatch_plans_overrides (written_at, owner);

-- The billing system's events: processed events, and rejected events, which could
-- not be used and are kept for review.
CREATE TABLE keyhatch_plans_events (
	event   text    NOT NULL COLLATE "C" PRIMARY KEY CHECK (event <> ''),
	refused integer NOT NULL CHECK (refused IN (0, 1)),
	at      bigint  NOT NULL,
	reason  text    NOT NULL,
	body    bytea   NOT NULL
);

CREATE INDEX keyhatch_plans_events_at ON keyhatch_plans_events (refused, at, event);

CREATE TABLE IF NOT EXISTS keyhatch_plans_version (
	id      integer NOT NULL PRIMARY KEY CHECK (id = 1),
	version integer NOT NULL
);

INSERT INTO keyhatch_plans_version (id, version) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET version = 1;
