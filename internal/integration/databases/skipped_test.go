package databases_test

import (
	"database/sql"
	"slices"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// skips lists ways in which a database skips or alters writes without an error. The named calls
// must fail.
var skips = []struct {
	name, params string // params are the MariaDB driver's
	dialect      sqlstore.Dialect
	statements   []string
	calls        []string
}{
	{"trigger skips updates", "", sqlstore.SQLite, []string{
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys BEGIN SELECT RAISE(IGNORE); END",
	}, []string{"Update", "Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips inserts", "", sqlstore.SQLite, []string{
		"CREATE TRIGGER skip BEFORE INSERT ON keyhatch_keys BEGIN SELECT RAISE(IGNORE); END",
	}, []string{"Insert", "Rotate"}},
	{"trigger skips one of a batch", "", sqlstore.SQLite, []string{
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys WHEN NEW.id = 'k2' BEGIN SELECT RAISE(IGNORE); END",
	}, []string{"RevokeAll"}},
	{"trigger undoes revocations", "", sqlstore.SQLite, []string{
		"CREATE TRIGGER keep AFTER UPDATE ON keyhatch_keys BEGIN UPDATE keyhatch_keys SET revoked_at = NULL WHERE id = NEW.id; END",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips owners", "", sqlstore.SQLite, []string{
		"DELETE FROM keyhatch_keys_owners",
		"CREATE TRIGGER skip BEFORE INSERT ON keyhatch_keys_owners BEGIN SELECT RAISE(IGNORE); END",
	}, []string{"Insert", "Update", "Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips the count", "", sqlstore.SQLite, []string{
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys_revocations BEGIN SELECT RAISE(IGNORE); END",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips updates", "", sqlstore.PostgreSQL, []string{
		"CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys FOR EACH ROW EXECUTE FUNCTION skip()",
	}, []string{"Update", "Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips inserts", "", sqlstore.PostgreSQL, []string{
		"CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"CREATE TRIGGER skip BEFORE INSERT ON keyhatch_keys FOR EACH ROW EXECUTE FUNCTION skip()",
	}, []string{"Insert", "Rotate"}},
	{"rule skips updates", "", sqlstore.PostgreSQL, []string{
		"CREATE RULE skip AS ON UPDATE TO keyhatch_keys DO INSTEAD NOTHING",
	}, []string{"Update", "Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips one of a batch", "", sqlstore.PostgreSQL, []string{
		"CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = ''k2'' THEN RETURN NULL; END IF; RETURN NEW; END'",
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys FOR EACH ROW EXECUTE FUNCTION skip()",
	}, []string{"RevokeAll"}},
	{"trigger undoes revocations", "", sqlstore.PostgreSQL, []string{
		"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.revoked_at = OLD.revoked_at; RETURN NEW; END'",
		"CREATE TRIGGER keep BEFORE UPDATE ON keyhatch_keys FOR EACH ROW EXECUTE FUNCTION keep()",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"trigger skips the count", "", sqlstore.PostgreSQL, []string{
		"CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"CREATE TRIGGER skip BEFORE UPDATE ON keyhatch_keys_revocations FOR EACH ROW EXECUTE FUNCTION skip()",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"no rows of the count", "", sqlstore.PostgreSQL, []string{
		"DELETE FROM keyhatch_keys_revocations",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"no rows of the count", "clientFoundRows=true", sqlstore.MySQL, []string{
		"DELETE FROM keyhatch_keys_revocations",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"trigger undoes one of a batch", "clientFoundRows=true", sqlstore.MySQL, []string{
		"CREATE TRIGGER keep BEFORE UPDATE ON keyhatch_keys FOR EACH ROW SET NEW.revoked_at = IF(NEW.id = 'k1', OLD.revoked_at, NEW.revoked_at)",
	}, []string{"Revoke", "RevokeAll", "Rotate"}},
	{"trigger holds back the latest instant", "", sqlstore.MySQL, []string{
		"UPDATE keyhatch_keys_owners SET latest = 0",
		"CREATE TRIGGER keep BEFORE UPDATE ON keyhatch_keys_owners FOR EACH ROW SET NEW.latest = OLD.latest",
	}, []string{"Insert", "Update", "Revoke", "RevokeAll", "Rotate"}},
}

// a write that the database skips or alters without an error counts as an outage,
// and is rolled back.
func TestSkippedWriteIsAnOutage(t *testing.T) {
	t.Parallel()
	for _, skip := range skips {
		i := slices.IndexFunc(databases, func(d database) bool { return d.dialect == skip.dialect })
		t.Run(databases[i].name+" "+skip.name, func(t *testing.T) {
			t.Parallel()
			db := databases[i].open(t)
			if skip.params != "" {
				db = mysqlDB(t, skip.params)
			}
			s := sqlStore(t, skip.dialect, db)
			insert(t, s, record("o", "k1"), record("o", "k2"))
			before := recordsOf(t, s, "o")
			for _, statement := range skip.statements {
				testkit.ExecuteOn(t, db, statement)
			}
			for _, w := range writes {
				if slices.Contains(skip.calls, w.name) {
					outage(t, w.call(t.Context(), s), w.name)
				}
			}
			unchanged(t, s, before)
		})
	}
}

// reading a count that has lost some of its rows is an error.
func TestCountWithoutItsRows(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		for _, where := range []string{"slot = 1", "slot > 1", "1 = 1"} {
			testkit.ExecuteOn(t, db, "DELETE FROM keyhatch_keys_revocations WHERE "+where)
			_, err := s.Revocations(t.Context())
			outage(t, err, "Revocations without the rows "+where)
		}
	})
}
