package sqlprovider

import (
	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A dialect holds the differences between databases. Its statements use the
// tables' default names, and question marks as placeholders.
type dialect struct {
	// schema holds the steps to version 1, 2 and so on. Each step sets the
	// version itself, so that it can also be run by hand.
	schema []string

	db *sqldb.Database

	// byKey follows a table's name if rows are selected by the primary key. The others
	// follow the name of the table of records if its rows are selected by owner, parent or
	// customer.
	byKey, byOwner, byParent, byCustomer string

	// isDuplicate reports whether an INSERT failed because the row already
	// exists. It is nil if the put statement handles existing rows itself.
	isDuplicate func(error) bool

	// put inserts a row, or replaces an older one of the same kind by a newer one.
	// If isDuplicate is not nil, put only inserts, and replace replaces.
	put, replace string

	// putRecord and replaceRecord do the same with a record. They replace nothing if the
	// two states have different parents, customers or owners.
	putRecord, replaceRecord string

	// setOverride and saveRejected insert a row or replace the existing one.
	setOverride, saveRejected string
}

// dialects holds the dialects of all supported databases.
var dialects = map[sqlstore.Dialect]*dialect{
	sqlstore.SQLite: &sqlite, sqlstore.PostgreSQL: &postgres, sqlstore.MySQL: &mysql,
}

// These statements are the same for SQLite and PostgreSQL. With them,
// written_at grows with every write of a row, even if two writes fall into one
// microsecond or a clock is turned back, so that a Watch can tell the writes
// apart.
const (
	putOnConflict = `INSERT INTO keyhatch_plans AS kept (` + columns + `, written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (owner, subscription) DO UPDATE SET kind = excluded.kind, plan = excluded.plan, status = excluded.status,
			since = excluded.since, paid_from = excluded.paid_from, valid_until = excluded.valid_until,
			updated_at = excluded.updated_at, version = excluded.version, written_at = ` + writtenAfter + `
		WHERE excluded.kind = ` + keptKind + ` AND (excluded.updated_at > kept.updated_at
			OR excluded.updated_at = kept.updated_at AND excluded.version > kept.version)`

	setOverrideOnConflict = `INSERT INTO keyhatch_plans_overrides AS kept (owner, overrides, written_at) VALUES (?, ?, ?)
		ON CONFLICT (owner) DO UPDATE SET overrides = excluded.overrides, written_at = ` + writtenAfter

	writtenAfter = `CASE WHEN excluded.written_at > kept.written_at THEN excluded.written_at ELSE kept.written_at + 1 END`

	saveRejectedOnConflict = `INSERT INTO keyhatch_plans_rejected (source, event, at, reason, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (source, event) DO UPDATE SET at = excluded.at, reason = excluded.reason, body = excluded.body`

	putRecordOnConflict = `INSERT INTO keyhatch_plans_records AS kept (` + insertedColumns + `) VALUES (` + insertedMarks + `)
		ON CONFLICT (source, kind, id) DO UPDATE SET
			owner = CASE WHEN kept.owner = '' THEN excluded.owner ELSE kept.owner END,
			customer = CASE WHEN excluded.customer = '' THEN kept.customer ELSE excluded.customer END,
			plan = excluded.plan, status = excluded.status, started_at = excluded.started_at, period_start = excluded.period_start,
			period_end = excluded.period_end, amount = excluded.amount, currency = excluded.currency,
			updated_at = excluded.updated_at, version = excluded.version, written_at = ` + writtenAfter + `
		WHERE (excluded.updated_at > kept.updated_at OR excluded.updated_at = kept.updated_at AND excluded.version > kept.version)
			AND excluded.parent_kind = kept.parent_kind AND excluded.parent = kept.parent
			AND (excluded.customer = '' OR kept.customer = '' OR excluded.customer = kept.customer)
			AND (kept.owner IN ('', excluded.owner) OR kept.previous_owner <> '')`
)

// insertedColumns are those of a new record, and insertedMarks their placeholders.
const (
	insertedColumns = recordColumns + `, written_at`
	insertedMarks   = `?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`
)
