-- Version 3 of the schema adds tables for the reports of billing systems.
-- Provider.Migrate runs this file. Your own migration tool may run it instead.
--
-- Running programs that know only version 2 keep working. They keep storing
-- subscriptions by owner in keyhatch_plans, where newer programs read them too. Newer
-- programs store there only what the host itself grants or holds.
--
-- PostgreSQL creates the tables without a lock on the others.

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
	source         text NOT NULL COLLATE "C" CHECK (source <> ''), -- the billing system
	kind           text NOT NULL COLLATE "C", -- subscription, payment, charge, refund or dispute
	id             text NOT NULL COLLATE "C" CHECK (id <> ''),
	parent_kind    text NOT NULL COLLATE "C", -- the record to which this one belongs; empty for a subscription
	parent         text NOT NULL COLLATE "C",
	owner          text NOT NULL COLLATE "C", -- of the subscription; empty for other kinds, and if it ended before its owner was known
	previous_owner text NOT NULL COLLATE "C" DEFAULT '', -- the owner before the host moved the subscription; empty if the host has not
	customer       text NOT NULL COLLATE "C", -- the billing system's ID of the customer; empty if unknown
	plan           text NOT NULL COLLATE "C",
	status         text NOT NULL COLLATE "C", -- empty for a payment or charge
	started_at     bigint,
	period_start   bigint,
	period_end     bigint,
	amount         bigint NOT NULL, -- in the currency's smallest unit
	currency       text NOT NULL COLLATE "C",
	updated_at     bigint NOT NULL, -- by the billing system's clock
	version        bigint NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at     bigint NOT NULL, -- by the writer's clock
	PRIMARY KEY (source, kind, id)
);

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
	source text NOT NULL COLLATE "C",
	event  text NOT NULL COLLATE "C" CHECK (event <> ''),
	at     bigint NOT NULL,
	reason text NOT NULL,
	body   bytea NOT NULL,
	PRIMARY KEY (source, event)
);

CREATE INDEX keyhatch_plans_rejected_at ON keyhatch_plans_rejected (at);

INSERT INTO keyhatch_plans_rejected (source, event, at, reason, body)
	SELECT '', event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1;

UPDATE keyhatch_plans_version SET version = 3 WHERE id = 1;
