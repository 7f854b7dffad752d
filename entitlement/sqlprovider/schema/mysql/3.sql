-- Version 3 of the schema adds tables for the reports of billing systems.
-- Provider.Migrate runs this file. Your own migration tool may run it instead.
--
-- Running programs that know only version 2 keep working. They keep storing
-- subscriptions by owner in keyhatch_plans, where newer programs read them too. Newer
-- programs store there only what the host itself grants or holds.
--
-- The server creates the tables without a lock on the others.

-- Subscriptions, payments, charges, refunds and disputes, by billing system and ID. A
-- refund belongs to a payment or a charge, a charge to a payment, and a payment to a
-- subscription, which has an owner. A record may arrive before the one it belongs to.
-- Instants are microseconds since 1970-01-01 UTC. NULL means never or unknown.
--
-- The status of a subscription is active, trialing, past_due or ended, or active_ending or
-- trialing_ending if it will not be renewed. That of a refund or dispute is whole (it takes
-- back the whole payment), amount (it takes back its amount) or released (it takes back
-- nothing).
CREATE TABLE IF NOT EXISTS keyhatch_plans_records (
	source         VARBINARY(32) NOT NULL CHECK (OCTET_LENGTH(source) > 0), -- the billing system
	kind           VARBINARY(16) NOT NULL, -- subscription, payment, charge, refund or dispute
	id             VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(id) > 0),
	parent_kind    VARBINARY(16) NOT NULL, -- the record to which this one belongs; empty for a subscription
	parent         VARBINARY(255) NOT NULL,
	owner          VARBINARY(255) NOT NULL, -- of the subscription; empty for other kinds, and if it ended before its owner was known
	previous_owner VARBINARY(255) NOT NULL DEFAULT '', -- the owner before the host moved the subscription; empty if the host has not
	customer       VARBINARY(255) NOT NULL, -- the billing system's ID of the customer; empty if unknown
	plan           VARBINARY(255) NOT NULL,
	status         VARBINARY(16) NOT NULL, -- empty for a payment or charge
	started_at     BIGINT,
	period_start   BIGINT,
	period_end     BIGINT,
	amount         BIGINT NOT NULL, -- in the currency's smallest unit
	currency       VARBINARY(3) NOT NULL,
	updated_at     BIGINT NOT NULL, -- by the billing system's clock
	version        BIGINT NOT NULL, -- orders states with the same updated_at: the higher is newer
	written_at     BIGINT NOT NULL, -- by the writer's clock
	PRIMARY KEY (source, kind, id),

	-- For the records of an owner.
	INDEX keyhatch_plans_owner (owner, kind),

	-- For the records that belong to another one.
	INDEX keyhatch_plans_parent (source, parent_kind, parent),

	-- For the subscriptions of a customer.
	INDEX keyhatch_plans_customer (source, customer),

	-- For polls of recently written records.
	INDEX keyhatch_plans_records_at (written_at)
) ENGINE = InnoDB;

-- Events that could not be used and are kept for review. They were in
-- keyhatch_plans_events, to which programs of version 2 still write.
CREATE TABLE IF NOT EXISTS keyhatch_plans_rejected (
	source VARBINARY(32) NOT NULL,
	event  VARBINARY(255) NOT NULL CHECK (OCTET_LENGTH(event) > 0),
	at     BIGINT NOT NULL,
	reason TEXT CHARACTER SET utf8mb4 NOT NULL,
	body   MEDIUMBLOB NOT NULL,
	PRIMARY KEY (source, event),

	INDEX keyhatch_plans_rejected_at (at)
) ENGINE = InnoDB;

INSERT IGNORE INTO keyhatch_plans_rejected (source, event, at, reason, body)
	SELECT '', event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1;

UPDATE keyhatch_plans_version SET version = 3 WHERE id = 1;
