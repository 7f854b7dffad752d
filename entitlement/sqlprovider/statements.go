package sqlprovider

import "strings"

const columns = `owner, subscription, plan, status, since, paid_from, valid_until, updated_at, version`

// statements are the SQL of a Provider, for its table and its database.
type statements struct {
	find, plans, override                       string
	put, replace, setOverride                   string
	seen, refused, markSeen, keepRefused, prune string
	written                                     string
	createVersion, noVersion, version           string
}

func (p *Provider) statements() statements {
	return statements{
		// One statement, so that the subscriptions and the override are of the
		// same instant.
		find: p.text(`SELECT s.owner, s.subscription, s.plan, s.status, s.since, s.paid_from, s.valid_until, s.updated_at, s.version, o.overrides
			FROM keyhatch_plans s LEFT JOIN keyhatch_plans_overrides o ON o.owner = s.owner WHERE s.owner = ?`),
		plans: p.text(`SELECT DISTINCT plan, status FROM keyhatch_plans WHERE status NOT IN ('ended', 'held')
			AND (status NOT IN ('active', 'past_due') OR valid_until IS NULL OR valid_until > ?)`),
		override: p.text(`SELECT owner, overrides FROM keyhatch_plans_overrides WHERE owner = ?`),

		put:         p.text(p.dialect.put),
		replace:     p.text(p.dialect.replace),
		setOverride: p.text(p.dialect.setOverride),

		seen: p.text(`SELECT event, refused FROM keyhatch_plans_events WHERE event = ?`),
		refused: p.text(`SELECT event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1
			ORDER BY at DESC, event DESC LIMIT ?`),
		markSeen:    p.text(p.dialect.markSeen),
		keepRefused: p.text(p.dialect.keepRefused),

		// Both values of refused, so that the index serves.
		prune: p.text(`DELETE FROM keyhatch_plans_events WHERE refused IN (0, 1) AND at < ?`),

		// An override has no subscription; its owner stands for it.
		written: p.text(`SELECT 0 AS kind, owner, subscription, written_at FROM keyhatch_plans WHERE written_at >= ?
			UNION ALL SELECT 1, owner, owner, written_at FROM keyhatch_plans_overrides WHERE written_at >= ?
			LIMIT ?`),

		createVersion: p.text(`CREATE TABLE IF NOT EXISTS keyhatch_plans_version (
			id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`),
		noVersion: p.text(`INSERT INTO keyhatch_plans_version (id, version)
			SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM keyhatch_plans_version) ` + p.dialect.unlessTaken),
		version: p.text(`SELECT version FROM keyhatch_plans_version WHERE id = 1`),
	}
}

// text turns a statement into the database's own: its tables' names, which were
// checked by New and are all that is ever put into a statement, and its
// placeholders.
func (p *Provider) text(statement string) string {
	parts := strings.Split(statement, "?")
	var b strings.Builder
	b.WriteString(p.named(parts[0]))
	for i, part := range parts[1:] {
		b.WriteString(p.dialect.placeholder(i + 1))
		b.WriteString(p.named(part))
	}
	return b.String()
}

// named puts in the names of tables and indexes. An index lies in the name
// space of its table, and is made without saying so.
func (p *Provider) named(statement string) string {
	quoted := func(name string) string { return p.dialect.quote + name + p.dialect.quote }
	space := ""
	if p.schema != "" {
		space = quoted(p.schema) + "."
	}
	var names []string
	for _, index := range []string{"_overrides_at", "_events_at", "_at"} {
		names = append(names, DefaultTable+index, quoted(p.table+index))
	}
	for _, table := range []string{"_overrides", "_events", "_version", ""} { // the shortest last
		names = append(names, DefaultTable+table, space+quoted(p.table+table))
	}
	return strings.NewReplacer(names...).Replace(statement)
}
