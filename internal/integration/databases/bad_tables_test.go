package databases_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A tableFault changes the tables of a running Store and undoes the change. causes holds, for
// each entry of databases, a part of the expected error. An empty string means that the
// database has no such fault.
type tableFault struct {
	name, spoil, mend string
	causes            [3]string
	reads             bool // reads still work
}

var tableFaults = []tableFault{
	{"no table", "ALTER TABLE keyhatch_keys RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO keyhatch_keys",
		[3]string{"no such table: main.keyhatch_keys", `.keyhatch_keys" does not exist`, "keyhatch_keys' doesn't exist"}, false},
	{"no table of owners", "ALTER TABLE keyhatch_keys_owners RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO keyhatch_keys_owners",
		[3]string{"", `.keyhatch_keys_owners" does not exist`, "keyhatch_keys_owners' doesn't exist"}, true},
	{"no column", "ALTER TABLE keyhatch_keys RENAME COLUMN revoked_at TO other", "ALTER TABLE keyhatch_keys RENAME COLUMN other TO revoked_at",
		[3]string{"revoked_at", "revoked_at", "revoked_at"}, false},
}

// wrong tables count as an outage, and no record is lost when they are restored.
func TestTablesGoneWhileOpen(t *testing.T) {
	t.Parallel()
	for i, d := range databases {
		for _, f := range tableFaults {
			if f.causes[i] == "" {
				continue
			}
			t.Run(d.name+" "+f.name, func(t *testing.T) {
				db := d.open(t)
				s := sqlStore(t, d.dialect, db)
				had := someKeys(t, s)
				callLookup(t, s) // which may prepare the statement
				testkit.ExecuteOn(t, db, f.spoil)
				if f.reads {
					errs := callEach(t.Context(), s)
					delete(errs, "Touch") // it does not use owners
					writesFail(t, errs, f.causes[i])
				} else {
					allFail(t, callEach(t.Context(), s), f.causes[i])
				}
				testkit.ExecuteOn(t, db, f.mend)
				recovered(t, s, had)
			})
		}
	}
}

func callLookup(t testing.TB, s store.Store) {
	t.Helper()
	if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
		t.Fatal(err)
	}
}

// Migrate was not called.
func TestTablesNeverMade(t *testing.T) {
	t.Parallel()
	for i, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			errs := callEach(t.Context(), newStore(t, d.dialect, d.open(t), nil))
			allFail(t, errs, [3]string{"no such table: keyhatch_keys", "does not exist", "doesn't exist"}[i])
			allFail(t, errs, "keyhatch_keys")
		})
	}
}

// Migrate refuses a table of the host with our name.
func TestTableOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			db := d.open(t)
			testkit.ExecuteOn(t, db, "CREATE TABLE keyhatch_keys (id INTEGER PRIMARY KEY, door VARCHAR(100))")
			testkit.ExecuteOn(t, db, "INSERT INTO keyhatch_keys VALUES (1, 'front')")
			err := newStore(t, d.dialect, db, nil).Migrate(t.Context())
			outage(t, err, "Migrate")
			if err != nil && !strings.Contains(err.Error(), "keyhatch_keys") {
				t.Errorf("the error of Migrate does not name the wrong table: %v", err)
			}
			if door := testkit.QueryValue[string](t, db, "SELECT door FROM keyhatch_keys WHERE id = 1"); door != "front" {
				t.Errorf("the host's row: got %q", door)
			}
		})
	}
}

// A table without its version is neither created again nor treated as a new one.
func TestVersionMissing(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		for _, spoil := range []string{"DELETE FROM keyhatch_keys_version", "DROP TABLE keyhatch_keys_version"} {
			t.Run(d.name+" "+spoil, func(t *testing.T) {
				db := d.open(t)
				s := sqlStore(t, d.dialect, db)
				had := someKeys(t, s)
				testkit.ExecuteOn(t, db, spoil)
				err := s.Migrate(t.Context())
				switch { // MySQL treats this as an interrupted migration, and completes it
				case d.dialect == sqlstore.MySQL && err != nil:
					t.Errorf("Migrate: %v", err)
				case d.dialect != sqlstore.MySQL && (err == nil || !strings.Contains(err.Error(), "from schema version 0 to 1")):
					t.Errorf("Migrate: got %v, want an error that names the version", err)
				}
				recovered(t, s, had)
			})
		}
	}
}

// The schema refuses a digest that is not 32 bytes long. If the schema was weakened, a read of such
// a digest returns an outage error.
func TestDigestsOfOtherLengths(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			db := d.open(t)
			if d.dialect == sqlstore.MySQL { // otherwise it truncates long values
				db.SetMaxOpenConns(1)
				testkit.ExecuteOn(t, db, "SET SESSION sql_mode = ''")
			}
			s := sqlStore(t, d.dialect, db)
			someKeys(t, s)
			set := d.text("UPDATE keyhatch_keys SET digest = ? WHERE id = 'k1'")
			for _, n := range []int{0, 1, 31, 33, 64} {
				if _, err := db.ExecContext(t.Context(), set, make([]byte, n)); err == nil && n < 32 {
					t.Errorf("the schema accepted a digest of %d bytes", n)
				} else if length := testkit.QueryValue[int](t, db, "SELECT MAX("+lengths[d.dialect]+") FROM keyhatch_keys"); length != 32 {
					t.Errorf("the schema accepted a digest of %d bytes as one of %d", n, length)
				}
			}
		})
	}
}

var lengths = map[sqlstore.Dialect]string{
	sqlstore.SQLite: "length(digest)", sqlstore.PostgreSQL: "octet_length(digest)", sqlstore.MySQL: "octet_length(digest)",
}

var weaken = map[sqlstore.Dialect]string{
	sqlstore.SQLite:     "PRAGMA ignore_check_constraints = ON",
	sqlstore.PostgreSQL: "ALTER TABLE keyhatch_keys DROP CONSTRAINT keyhatch_keys_digest_check",
	sqlstore.MySQL:      "ALTER TABLE keyhatch_keys MODIFY digest VARBINARY(64) NOT NULL",
}

func TestShortDigestIsAnOutage(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		for _, n := range []int{0, 31, 33} {
			t.Run(fmt.Sprint(d.name, " ", n), func(t *testing.T) {
				db := d.open(t)
				s := sqlStore(t, d.dialect, db)
				someKeys(t, s)
				testkit.ExecuteOn(t, db, weaken[d.dialect])
				testkit.ExecuteOn(t, db, d.text("UPDATE keyhatch_keys SET digest = ? WHERE id = 'k1'"), make([]byte, n))
				errs := callEach(t.Context(), s)
				if !errors.Is(errs["Lookup"], store.ErrNotFound) {
					t.Errorf("Lookup of a digest that is gone: got %v, want %v", errs["Lookup"], store.ErrNotFound)
				}
				for call, err := range errs {
					if call != "Get" && call != "List" && call != "Update" { // which read the row
						if call != "Lookup" && err != nil {
							t.Errorf("%s of another key: %v", call, err)
						}
						delete(errs, call)
					}
				}
				_, errs["RevokeAll"] = s.RevokeAll(t.Context(), "o", epoch, "closed")
				allFail(t, errs, "want 32 bytes")
			})
		}
	}
}

// H-14: with a Manager an outage is 503, so that no client discards its key.
func TestOutageIsNotARefusal(t *testing.T) {
	forEach(t, databases, func(t *testing.T, d database, db *sql.DB, s *sqlstore.Store) {
		made, token := manager(t, s)
		if _, err := made.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		testkit.ExecuteOn(t, db, tableFaults[0].spoil)
		fresh, _ := apikey.New(s, nil) // a Manager that has not cached the token
		t.Cleanup(func() { fresh.Close(t.Context()) })
		_, err := fresh.Validate(t.Context(), token)
		if !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("Validate without tables: got %v, want %v", err, apikey.ErrUnavailable)
		}
		if status := statusOf(fresh, token); status != http.StatusServiceUnavailable {
			t.Errorf("a request without tables: got %d, want 503", status)
		}
		testkit.ExecuteOn(t, db, tableFaults[0].mend)
		if _, err := fresh.Validate(t.Context(), token); err != nil {
			t.Errorf("Validate after the tables are restored: %v", err)
		}
	})
}

func manager(t testing.TB, s store.Store) (*apikey.Manager, string) {
	t.Helper()
	m, err := apikey.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(t.Context()) })
	issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "a key"})
	if err != nil {
		t.Fatal(err)
	}
	return m, issued.Secret.Reveal()
}

func statusOf(m *apikey.Manager, token string) int {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	m.Require()(http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Code
}

// Without tables, each call is an outage whose error says what to do.
func TestWithoutMigrate(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, d.dialect, d.open(t), nil)
			r := store.Record{ID: "key_1", Owner: "o", Name: "n", Hint: "key_1234", Digest: store.Digest{1}, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
			_, lookup := s.Lookup(t.Context(), r.Digest)
			_, count := s.Count(t.Context(), "o", r.CreatedAt)
			_, list := s.List(t.Context(), store.Query{Owner: "o"})
			_, all := s.RevokeAll(t.Context(), "o", r.CreatedAt, "")
			for name, err := range map[string]error{
				"Lookup": lookup, "Count": count, "List": list, "RevokeAll": all, "Insert": s.Insert(t.Context(), r, 5),
				"Touch": s.Touch(t.Context(), []store.Use{{Digest: r.Digest, At: r.CreatedAt}}),
			} {
				if err == nil || !strings.HasSuffix(err.Error(), ": call Migrate before the first use") || strings.Count(err.Error(), "Migrate") != 1 {
					t.Errorf("%s: got %v, want an error that says to call Migrate", name, err)
				}
				for _, known := range []error{store.ErrNotFound, store.ErrLimit, store.ErrDuplicate} {
					if errors.Is(err, known) {
						t.Errorf("%s: got %v, which matches %v", name, err, known)
					}
				}
			}
		})
	}
}
