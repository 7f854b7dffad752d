package sqlprovider

import (
	"context"
	"database/sql"

	"github.com/keyhatch/keyhatch/internal/sqldb"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A dialect is what differs from one database to the next. In its statements
// the tables go by their default names and each parameter is a question mark.
type dialect struct {
	// schema holds the steps to version 1, 2 and so on. Each sets the version
	// itself, so that it can be run by hand as well.
	schema []string

	// db makes sure that no row is left out.
	db *sqldb.Database

	// schemas tells that tables may be in one of several name spaces.
	schemas bool

	// byKey follows a table's name where rows are asked for by the primary key.
	byKey string

	// isolation is what Migrate's transaction asks for.
	isolation sql.IsolationLevel

	// busy tells that a statement failed because of another one, and may
	// succeed when it is run again.
	busy func(error) bool

	// taken tells that a row was not inserted because it is there already. Nil
	// where the statement put says itself what becomes of such a row.
	taken func(error) bool

	// put inserts a row, or takes a newer one in the place of an older one;
	// with taken it only inserts, and replace does the rest.
	put, replace string

	// setOverride, markSeen and keepRefused insert a row, or take it in the
	// place of the one that is there. keepRefused leaves one that was seen.
	setOverride, markSeen, keepRefused string

	// unlessTaken ends an INSERT, and lets it insert nothing, without an
	// error, where a unique value is taken already. Empty where there is no
	// such thing.
	unlessTaken string

	// unfit asks what is wrong with a connection; NULL means nothing.
	unfit string

	// alone runs do while nobody else migrates the same table.
	alone func(ctx context.Context, p *Provider, do func(execer) error) error
}

// dialects are one to a file.
var dialects = map[sqlstore.Dialect]*dialect{
	sqlstore.SQLite: &sqlite, sqlstore.PostgreSQL: &postgres, sqlstore.MySQL: &mysql,
}

// SQLite and PostgreSQL speak alike where a row is there already. There written_at
// grows with every write of a row, also when two come within a microsecond or a
// clock goes back, so that a Watch can tell them apart.
const (
	putOnConflict = `INSERT INTO keyhatch_plans AS kept (` + columns + `, written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (owner, subscription) DO UPDATE SET plan = excluded.plan, status = excluded.status,
			since = excluded.since, paid_from = excluded.paid_from, valid_until = excluded.valid_until,
			updated_at = excluded.updated_at, version = excluded.version, written_at = ` + writtenAfter + `
		WHERE excluded.updated_at > kept.updated_at
			OR excluded.updated_at = kept.updated_at AND excluded.version > kept.version`

	setOverrideOnConflict = `INSERT INTO keyhatch_plans_overrides AS kept (owner, overrides, written_at) VALUES (?, ?, ?)
		ON CONFLICT (owner) DO UPDATE SET overrides = excluded.overrides, written_at = ` + writtenAfter

	writtenAfter = `CASE WHEN excluded.written_at > kept.written_at THEN excluded.written_at ELSE kept.written_at + 1 END`

	markSeenOnConflict = `INSERT INTO keyhatch_plans_events (event, refused, at, reason, body) VALUES (?, 0, ?, '', ?)
		ON CONFLICT (event) DO UPDATE SET refused = 0, at = excluded.at, reason = '', body = excluded.body`

	keepRefusedOnConflict = `INSERT INTO keyhatch_plans_events AS kept (event, refused, at, reason, body) VALUES (?, 1, ?, ?, ?)
		ON CONFLICT (event) DO UPDATE SET at = excluded.at, reason = excluded.reason, body = excluded.body
		WHERE kept.refused = 1`
)
