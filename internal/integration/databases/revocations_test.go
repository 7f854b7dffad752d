package databases_test

import (
	"database/sql"
	"reflect"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// ends lists the calls that revoke a key at once.
var ends = map[string]func(*testing.T, *sqlstore.Store) error{
	"Revoke": func(t *testing.T, s *sqlstore.Store) error {
		_, _, err := s.Revoke(t.Context(), "o", "k1", epoch, "")
		return err
	},
	"RevokeAll": func(t *testing.T, s *sqlstore.Store) error {
		_, err := s.RevokeAll(t.Context(), "o", epoch, "")
		return err
	},
	"Rotate": func(t *testing.T, s *sqlstore.Store) error {
		_, _, err := s.Rotate(t.Context(), "o", "k1", record("o", "next"), epoch, -1)
		return err
	},
}

func revocations(t *testing.T, s *sqlstore.Store) store.Revocations {
	t.Helper()
	r, err := s.Revocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// a revocation that cannot be counted fails and changes nothing.
func TestRevocationThatCannotBeCounted(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		had, before := someKeys(t, s), revocations(t, s)
		testkit.ExecuteOn(t, db, "ALTER TABLE keyhatch_keys_revocations RENAME TO elsewhere")
		for call, end := range ends {
			if end(t, s) == nil {
				t.Errorf("%s returned nil although the count is missing", call)
			}
		}
		testkit.ExecuteOn(t, db, "ALTER TABLE elsewhere RENAME TO keyhatch_keys_revocations")
		if has := recordsOf(t, s, "o"); !reflect.DeepEqual(has, had) {
			t.Errorf("records in the store: got %+v, want %+v", has, had)
		}
		if now := revocations(t, s); now != before {
			t.Errorf("got %+v, want %+v", now, before)
		}
	})
}

// if a revocation fails after it was counted, here at the commit, the count does not
// change. A count that is too high could hide the loss of another revocation.
func TestRevocationThatFailsDoesNotCount(t *testing.T) {
	t.Parallel()
	server := servers[0]
	db := server.open(t)
	s := sqlStore(t, server.dialect, db)
	had, before := someKeys(t, s), revocations(t, s)
	testkit.ExecuteOn(t, db, "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'")
	testkit.ExecuteOn(t, db, "CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON keyhatch_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()")
	for call, end := range ends {
		if end(t, s) == nil {
			t.Errorf("%s returned nil although its commit failed", call)
		}
	}
	if now := revocations(t, s); now != before {
		t.Errorf("got %+v, want %+v", now, before)
	}
	if has := recordsOf(t, s, "o"); !reflect.DeepEqual(has, had) {
		t.Errorf("records in the store: got %+v, want %+v", has, had)
	}
}
