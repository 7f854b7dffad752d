-- What owners have bought, version 1 of this schema, for PostgreSQL 13 and
-- later. Provider.Migrate runs it; a migration tool of yours may do so instead.
--
-- Instants are microseconds since 1970-01-01 UTC, and NULL means never, or that
-- it is not known. There is a row for each of an owner's subscriptions, so that
-- a newer state of one replaces an older one of the same, whatever came of
-- the others. Texts that are compared have the collation of their bytes,
-- whatever the database's.
CREATE TABLE keyhatch_plans (
	owner        text   NOT NULL COLLATE "C" CHECK (owner <> ''),
	subscription text   NOT NULL COLLATE "C", -- the billing system's id; empty for what the host grants itself
	plan         text   NOT NULL COLLATE "C",
	status       text   NOT NULL COLLATE "C", -- active, past_due, ended or held
	since        bigint, -- when it began
	paid_from    bigint, -- when what was paid for last began, if known; a hold takes no more than was paid for until then
	valid_until  bigint,
	updated_at   bigint NOT NULL, -- by the billing system's clock
	version      bigint NOT NULL, -- tells apart what has the same updated_at
	written_at   bigint NOT NULL, -- by the writer's clock
	PRIMARY KEY (owner, subscription)
);

-- What was written lately.
CREATE INDEX keyhatch_plans_at ON keyhatch_plans (written_at, owner, subscription);

-- What support granted to an owner in the place of what the plan says. It is a
-- table of its own since it is the host's and not the billing system's: nothing
-- that is written to the other one can erase it, and who fills that needs no
-- right to write here.
CREATE TABLE keyhatch_plans_overrides (
	owner      text   NOT NULL COLLATE "C" PRIMARY KEY CHECK (owner <> ''),
	overrides  text,  -- a JSON object; NULL when it was taken back
	written_at bigint NOT NULL
);

CREATE INDEX keyhatch_plans_overrides_at ON keyhatch_plans_overrides (written_at, owner);

-- The billing system's events: those that have been dealt with, and those that
-- were refused, which are kept for people to look at.
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
