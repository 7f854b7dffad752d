package sqlprovider

import "github.com/keyhatch/keyhatch/internal/sqldb"

const columns = `owner, subscription, plan, status, since, paid_from, valid_until, updated_at, version`

// statements holds the SQL of a Provider, for its tables and its dialect.
type statements struct {
	find, plans, override                              string
	put, replace, setOverride                          string
	seen, rejected, markProcessed, saveRejected, prune string
	written                                            string
	createVersion, noVersion, version                  string
}

func (p *Provider) statements() statements {
	return statements{
		// One statement reads the subscriptions and the override as of the same
		// instant.
		find: p.read(`SELECT s.owner, s.subscription, s.plan, s.status, s.since, s.paid_from, s.valid_until, s.updated_at, s.version, o.overrides
			FROM keyhatch_plans s `+p.dialect.byKey+` LEFT JOIN keyhatch_plans_overrides o `+p.dialect.byKey+`
			ON o.owner = s.owner WHERE s.owner = ?`, "", "_overrides"),
		plans: p.read(`SELECT DISTINCT plan, status FROM keyhatch_plans WHERE status NOT IN ('ended', 'held')
			AND (status NOT IN ('active', 'past_due') OR valid_until IS NULL OR valid_until > ?)`, ""),
		override: p.read(`SELECT owner, overrides FROM keyhatch_plans_overrides `+p.dialect.byKey+` WHERE owner = ?`, "_overrides"),

		put:         p.text(p.dialect.put),
		replace:     p.text(p.dialect.replace),
		setOverride: p.text(p.dialect.setOverride),

		seen: p.read(`SELECT event, refused FROM keyhatch_plans_events `+p.dialect.byKey+` WHERE event = ?`, "_events"),
		rejected: p.read(`SELECT event, at, reason, body FROM keyhatch_plans_events WHERE refused = 1
			ORDER BY at DESC, event DESC LIMIT ?`, "_events"),
		markProcessed: p.text(p.dialect.markProcessed),
		saveRejected:  p.text(p.dialect.saveRejected),

		// Naming both values of refused lets the database use the index.
		prune: p.text(`DELETE FROM keyhatch_plans_events WHERE refused IN (0, 1) AND at < ?`),

		// An override has no subscription; its owner is used instead.
		written: p.read(`SELECT 0 AS kind, owner, subscription, written_at FROM keyhatch_plans WHERE written_at >= ?
			UNION ALL SELECT 1, owner, owner, written_at FROM keyhatch_plans_overrides WHERE written_at >= ?
			LIMIT ?`, "", "_overrides"),

		createVersion: p.text(`CREATE TABLE IF NOT EXISTS keyhatch_plans_version (
			id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`),
		noVersion: p.text(`INSERT INTO keyhatch_plans_version (id, version)
			SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM keyhatch_plans_version) ` + p.dialect.ignoreDuplicate),
		version: p.text(`SELECT version FROM keyhatch_plans_version WHERE id = 1`),
	}
}

// read makes a SELECT statement fail if the database may leave out rows of one
// of the tables, which are named by their endings.
func (p *Provider) read(statement string, endings ...string) string {
	var tables []string
	for _, ending := range endings {
		tables = append(tables, DefaultTable+ending)
	}
	return p.text(p.dialect.db.Whole(statement, tables...))
}

// text adapts a statement to the database: its placeholders and the names of
// its tables. Nothing else is ever inserted into a statement.
func (p *Provider) text(statement string) string {
	return p.named(p.schema, p.dialect.db.Text(statement))
}

// named inserts the names of tables and indexes.
func (p *Provider) named(schema, statement string) string {
	return p.dialect.db.Replace(sqldb.Names{
		Default: DefaultTable, Table: p.table, Schema: schema,
		Tables: []string{"_overrides", "_events", "_version"}, Indexes: []string{"_overrides_at", "_events_at", "_at"},
	}, statement)
}
