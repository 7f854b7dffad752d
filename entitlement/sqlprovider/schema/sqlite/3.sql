-- Version 3 of the schema adds tables for the reports of billing systems.
-- Provider.Migrate runs this file. Your own migration tool may run it instead.
--
-- Running programs that know only version 2 keep working. They keep storing
-- subscriptions by owner in keyhatch_plans, where newer programs read them too. Newer
-- programs store there only what the host itself grants or holds.
--
-- SQLite creates the tables without reading the others.

-- Subscriptions, payments, charges, refunds and disputes, by billing system and ID. A
-- refund belongs to a payment or a charge, a charge to a payment, and a payment to a
-- subscription, which has an owner. A record may arrive before the one it belongs to.
-- Instants are microseconds since 1970-01-01 UTC. NULL means never or unknown.
--
-- The status of a subscription is active, trialing, past_due or ended, or active_ending or
-- trialing_ending if it will not be renewed. That of a refund or dispute is whole (it takes
-- back the whole payment), amount (it takes back its amount) or released (it takes back
-- nothing).
CREATE TABLE keyhatch_plans_records (
	source         TEXT NOT NULL CHECK (source <> ''), -- the billing system
	kind           TEXT NOT NULL, -- subscription, payment, charge, refund or dispute
	id             TEXT NOT NULL CHECK (id <> ''),
	parent_kind    TEXT NOT NULL, -- the record to which this one belongs; empty for a subscription
	parent         TEXT NOT NULL,
	owner          TEXT NOT NULL, -- of the subscription; empty for other kinds, and if it ended before its owner was known
	previous_owner TEXT NOT NULL DEFAULT '', -- the owner before the host moved the subscription; empty if the host has not
	customer       TEXT NOT NULL, -- the billing system's ID of the customer; empty if unknown
	plan           TEXT NOT NULL,
	status         TEXT NOT NULL, -- empty for a payment or charge
	started_at     INTEGER,
	period_start   INTEGER,
	period_end     INTEGER,
	amount         INTEGER NOT NULL, -- in the currency's smallest unit
	currency       TEXT NOT NULL,
	updated_at     INTEGER NOT NULL, -- by the billing system's clock
	version        INTEGER NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at     INTEGER NOT NULL, -- by the writer's clock
	PRIMARY KEY (source, kind, id)
) STRICT, WITHOUT ROWID;

-- For the records of an owner.
CREATE INDEX keyhatch_plans_owner ON keyhatch_plans_records (owner, kind);

-- For the records that belong to another one.
CREATE INDEX keyhatch_plans_parent ON keyhatch_plans_records (source, parent_kind, parent);

-- For the subscriptions of a customer.
CREATE INDEX keyhatch_plans_customer ON keyhatch_plans_records (source, customer);

-- For polls of recently written records.
CREATE INDEX keyhatch_plans_records_at ON keyhatch_plans_records (written_at);

-- Events that could not be used and are kept for review. They were in
-- keyhatch_plans_events, to which programs of version 2 still write.
CREATE TABLE keyhatch_plans_rejected (
	source TEXT NOT NULL,
	event  TEXT NOT NULL CHECK (event <> ''),
	at     INTEGER NOT NULL,
	reason TEXT NOT NULL,
	body   BLOB NOT NULL,
	PRIMARY KEY (source, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX keyhatch_plans_rejected_at ON keyhatch_plans_rejected (at);

INSERT INTO keyhatch_plans_rejected (source, event, at, reason, body)
	SELECT '', event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1;

UPDATE keyhatch_plans_version SET version = 3 WHERE id = 1;
