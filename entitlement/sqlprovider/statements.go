package sqlprovider

import (
	"strings"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// columns are those of a subscription or hold of the host, which are in the first table.
const columns = `owner, subscription, kind, plan, status, since, paid_from, valid_until, updated_at, version`

// keptKind is the kind of a stored row. A program that knows only version 1 of the
// schema does not write the column. It marks a hold by the status held, and releases it
// by the status ended. The IDs of holds from package webhook have these prefixes.
const keptKind = `CASE WHEN kept.status = 'held' OR kept.status = 'ended' AND kept.plan = ''
	AND (kept.subscription LIKE 'refund:%' OR kept.subscription LIKE 'dispute:%') THEN 'hold' ELSE kept.kind END`

// recordColumns are those of a record that a read returns.
const recordColumns = `source, kind, id, parent_kind, parent, owner, customer, plan, status, started_at, period_start, period_end,
	amount, currency, updated_at, version`

// granting lists the statuses of subscriptions that grant something until their period ends.
const granting = `'active', 'active_ending', 'trialing', 'trialing_ending', 'past_due'`

const wasMoved = `CASE WHEN previous_owner <> '' THEN 1 ELSE 0 END`

// qualified returns the columns of a table.
func qualified(table, columns string) string {
	return table + "." + strings.ReplaceAll(strings.Join(strings.Fields(columns), " "), ", ", ", "+table+".")
}

// statements holds the SQL of a Provider, for its tables and its dialect.
type statements struct {
	find, plans, override              string
	put, replace, setOverride          string
	putRecord, replaceRecord           string
	ownersOf, lineage                  string
	subscriptions                      string
	touch, setOwner, end               string
	rejected, isRejected, saveRejected string
	deleteRejected, prune              string
	written                            string
}

// writtenLater is writtenAfter for an UPDATE. Both placeholders are the time of the write.
const writtenLater = `CASE WHEN ? > written_at THEN ? ELSE written_at + 1 END`

func newStatements(d *dialect, t *sqldb.Tables) statements {
	return statements{
		// One statement reads everything about an owner, as of one instant. It leaves out
		// payments for periods that ended before the second argument.
		find: t.Read(`WITH RECURSIVE tree AS (
				SELECT `+recordColumns+` FROM keyhatch_plans_records `+d.byOwner+` WHERE owner = ? AND kind = 'subscription'
				UNION SELECT `+qualified("r", recordColumns)+` FROM tree JOIN keyhatch_plans_records r `+d.byParent+`
				ON r.source = tree.source AND r.parent_kind = tree.kind AND r.parent = tree.id
				AND (r.period_end IS NULL OR r.period_end > ?))
			SELECT `+recordColumns+`, 0, NULL AS overrides FROM tree
			UNION ALL SELECT '', `+keptKind+`, subscription, '', '', owner, '', plan, status, since, paid_from, valid_until,
				0, '', updated_at, version, 0, NULL FROM keyhatch_plans kept `+d.byKey+` WHERE kept.owner = ?
			UNION ALL SELECT '', 'override', '', '', '', owner, '', '', '', NULL, NULL, NULL,
				0, '', NULL, 0, 0, overrides FROM keyhatch_plans_overrides `+d.byKey+` WHERE owner = ?`, "", "_overrides", "_records"),
		plans: t.Read(`SELECT plan, status FROM keyhatch_plans WHERE status NOT IN ('ended', 'held')
				AND (status NOT IN (`+granting+`) OR valid_until IS NULL OR valid_until > ?)
			UNION SELECT plan, status FROM keyhatch_plans_records WHERE kind = 'subscription' AND status <> 'ended'
				AND (status NOT IN (`+granting+`) OR period_end IS NULL OR period_end > ?)`, "", "_records"),
		override: t.Read(`SELECT owner, overrides FROM keyhatch_plans_overrides `+d.byKey+` WHERE owner = ?`, "_overrides"),

		put:         t.Text(d.put),
		replace:     t.Text(d.replace),
		setOverride: t.Text(d.setOverride),

		// Read needs a WHERE. This condition always holds.
		rejected: t.Read(`SELECT source, event, at, reason, body FROM keyhatch_plans_rejected WHERE event <> ''
			ORDER BY at DESC, event DESC LIMIT ?`, "_rejected"),
		isRejected:     t.Read(`SELECT event FROM keyhatch_plans_rejected `+d.byKey+` WHERE source IN (?, '') AND event = ?`, "_rejected"),
		saveRejected:   t.Text(d.saveRejected),
		deleteRejected: t.Text(`DELETE FROM keyhatch_plans_rejected WHERE source IN (?, '') AND event = ?`), // '' if version 2 saved it
		prune:          t.Text(`DELETE FROM keyhatch_plans_rejected WHERE at < ?`),

		putRecord:     t.Text(d.putRecord),
		replaceRecord: t.Text(d.replaceRecord),
		ownersOf: t.Read(`SELECT DISTINCT owner FROM keyhatch_plans_records `+d.byCustomer+`
			WHERE source = ? AND customer = ? AND kind = 'subscription' AND owner <> ''`, "_records"),

		// A record and those to which it belongs, as far as they have arrived.
		lineage: t.Read(`WITH RECURSIVE up AS (
				SELECT `+recordColumns+`, previous_owner FROM keyhatch_plans_records `+d.byKey+` WHERE source = ? AND kind = ? AND id = ?
				UNION SELECT `+qualified("r", recordColumns+", previous_owner")+` FROM up JOIN keyhatch_plans_records r `+d.byKey+`
				ON r.source = up.source AND r.kind = up.parent_kind AND r.id = up.parent)
			SELECT `+recordColumns+`, `+wasMoved+`, NULL FROM up`, "_records"),
		subscriptions: t.Read(`SELECT `+recordColumns+`, `+wasMoved+`, NULL FROM keyhatch_plans_records `+d.byKey+`
			WHERE source = ? AND kind = 'subscription' AND id > ? ORDER BY id LIMIT ?`, "_records"),
		touch: t.Text(`UPDATE keyhatch_plans_records SET written_at = ` + writtenLater + `
			WHERE source = ? AND kind = 'subscription' AND id = ?`),
		setOwner: t.Text(`UPDATE keyhatch_plans_records SET previous_owner = owner, owner = ?, written_at = ` + writtenLater + `
			WHERE source = ? AND kind = 'subscription' AND id = ? AND owner = ?`),
		// A program that knows only version 2 of the schema has stored the subscription here.
		end: t.Text(`UPDATE keyhatch_plans SET status = 'ended', written_at = ` + writtenLater + `
			WHERE owner = ? AND subscription = ? AND kind = 'subscription'`),

		// An override has no subscription; its owner is used instead.
		written: t.Read(`SELECT 0, owner, '', subscription, written_at FROM keyhatch_plans WHERE written_at >= ?
			UNION ALL SELECT 1, owner, '', owner, written_at FROM keyhatch_plans_overrides WHERE written_at >= ?
			UNION ALL SELECT 2, owner, source, id, written_at FROM keyhatch_plans_records WHERE kind = 'subscription' AND written_at >= ?
			UNION ALL SELECT 2, previous_owner, source, id, written_at FROM keyhatch_plans_records
				WHERE previous_owner <> '' AND written_at >= ?
			LIMIT ?`, "", "_overrides", "_records"),
	}
}
