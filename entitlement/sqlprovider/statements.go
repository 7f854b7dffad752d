package sqlprovider

import "github.com/keyhatch/keyhatch/internal/sqldb"

const columns = `owner, subscription, kind, plan, status, since, paid_from, valid_until, updated_at, version`

// keptKind is the kind of a stored row. A program that knows only version 1 of the
// schema does not write the column. It marks a hold by the status held, and releases it
// by the status ended. The IDs of holds from package webhook have these prefixes.
const keptKind = `CASE WHEN kept.status = 'held' OR kept.status = 'ended' AND kept.plan = ''
	AND (kept.subscription LIKE 'refund:%' OR kept.subscription LIKE 'dispute:%') THEN 'hold' ELSE kept.kind END`

// statements holds the SQL of a Provider, for its tables and its dialect.
type statements struct {
	find, plans, override                                     string
	put, replace, setOverride                                 string
	isProcessed, rejected, markProcessed, saveRejected, prune string
	written                                                   string
}

func newStatements(d *dialect, t *sqldb.Tables) statements {
	return statements{
		// One statement reads the subscriptions, the holds and the override as of
		// the same instant.
		find: t.Read(`SELECT kept.owner, kept.subscription, `+keptKind+` AS kind, kept.plan, kept.status, kept.since,
				kept.paid_from, kept.valid_until, kept.updated_at, kept.version, o.overrides
			FROM keyhatch_plans kept `+d.byKey+` LEFT JOIN keyhatch_plans_overrides o `+d.byKey+`
			ON o.owner = kept.owner WHERE kept.owner = ?`, "", "_overrides"),
		plans: t.Read(`SELECT DISTINCT plan, status FROM keyhatch_plans WHERE status NOT IN ('ended', 'held')
			AND (status NOT IN ('active', 'trialing', 'past_due') OR valid_until IS NULL OR valid_until > ?)`, ""),
		override: t.Read(`SELECT owner, overrides FROM keyhatch_plans_overrides `+d.byKey+` WHERE owner = ?`, "_overrides"),

		put:         t.Text(d.put),
		replace:     t.Text(d.replace),
		setOverride: t.Text(d.setOverride),

		isProcessed: t.Read(`SELECT event, refused FROM keyhatch_plans_events `+d.byKey+` WHERE event = ?`, "_events"),
		rejected: t.Read(`SELECT event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1
			ORDER BY at DESC, event DESC LIMIT ?`, "_events"),
		markProcessed: t.Text(d.markProcessed),
		saveRejected:  t.Text(d.saveRejected),

		// Naming both values of refused lets the database use the index.
		prune: t.Text(`DELETE FROM keyhatch_plans_events WHERE refused IN (0, 1) AND at < ?`),

		// An override has no subscription; its owner is used instead.
		written: t.Read(`SELECT 0, owner, subscription, written_at FROM keyhatch_plans WHERE written_at >= ?
			UNION ALL SELECT 1, owner, owner, written_at FROM keyhatch_plans_overrides WHERE written_at >= ?
			LIMIT ?`, "", "_overrides"),
	}
}
