package databases_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// kept fails the test unless the store stores the record unchanged or, if cause is not empty,
// refuses it with that cause and stores nothing.
func kept(t testing.TB, s store.Store, r store.Record, cause string) {
	t.Helper()
	err := s.Insert(t.Context(), r, -1)
	got, lookup := s.Lookup(t.Context(), r.Digest)
	if cause == "" {
		if err != nil || lookup != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("Insert: %v; Lookup: got %+v, %v, want %+v", err, got, lookup, r)
		}
		return
	}
	outage(t, err, "Insert")
	if err != nil && !strings.Contains(err.Error(), cause) {
		t.Errorf("the error does not name its cause: got %v, want %q in it", err, cause)
	}
	if !errors.Is(lookup, store.ErrNotFound) {
		t.Errorf("a refused record was stored: got %+v, %v", got, lookup)
	}
}

// places lists the text fields of a record.
var places = map[string]func(*store.Record, string){
	"id":       func(r *store.Record, text string) { r.ID = text },
	"owner":    func(r *store.Record, text string) { r.Owner = text },
	"name":     func(r *store.Record, text string) { r.Name = text },
	"creator":  func(r *store.Record, text string) { r.CreatedBy = text },
	"scopes":   func(r *store.Record, text string) { r.Scopes = []string{text} },
	"metadata": func(r *store.Record, text string) { r.Metadata = map[string]string{text: text} },
}

// NUL is stored like any character, except by PostgreSQL, which refuses it.
func TestNUL(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			s := sqlStore(t, d.dialect, d.open(t))
			for place, put := range places {
				r := record("o", place)
				put(&r, "before\x00after")
				cause := ""
				if d.dialect == sqlstore.PostgreSQL && place != "scopes" && place != "metadata" { // JSON escapes it there
					cause = "0x00"
				}
				kept(t, s, r, cause)
			}
			if n := stored(t, s, "before"); n != 0 {
				t.Errorf("keys of the owner that is cut at the NUL: got %d, want 0", n)
			}
		})
	}
}

// Migrate refuses an encoding that cannot represent some texts, since keys with such texts
// could not be written. SQL_ASCII is accepted, since it means bytes.
func TestDatabaseEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "EUC_JP"} {
		for _, client := range []string{"", "UTF8"} {
			t.Run(encoding+" "+client, func(t *testing.T) {
				dsn := encodedDSN(t, encoding)
				if client != "" {
					dsn = testkit.SetParam(dsn, "client_encoding", client)
				}
				db := testkit.OpenDB(t, "pgx", dsn)
				err := newStore(t, sqlstore.PostgreSQL, db, nil).Migrate(t.Context())
				allFail(t, map[string]error{"Migrate": err}, "the encoding of the database is "+encoding+",")
				if n := testkit.QueryValue[int](t, db, "SELECT count(*) FROM pg_class WHERE relname LIKE 'keyhatch%'"); n != 0 {
					t.Errorf("tables in a database that Migrate refuses: got %d, want 0", n)
				}
			})
		}
	}
	t.Run("of the client", func(t *testing.T) {
		db := testkit.OpenDB(t, "pgx", testkit.SetParam(testkit.UseSchema(t), "client_encoding", "LATIN1"))
		err := newStore(t, sqlstore.PostgreSQL, db, nil).Migrate(t.Context())
		allFail(t, map[string]error{"Migrate": err}, "client_encoding is LATIN1, want UTF8")
	})
	t.Run("SQL_ASCII", func(t *testing.T) {
		s := sqlStore(t, sqlstore.PostgreSQL, testkit.OpenDB(t, "pgx", encodedDSN(t, "SQL_ASCII")))
		for place, put := range places {
			r := record("o", "with "+place)
			put(&r, "名前 🔑")
			kept(t, s, r, "")
		}
		name := "名前"
		if _, err := s.Update(t.Context(), "o", "with name", store.Change{At: epoch, Name: &name}); err != nil {
			t.Errorf("Update: %v", err)
		}
	})
}

// encodedDSN returns the data source name of a new database with the encoding.
func encodedDSN(t *testing.T, encoding string) string {
	t.Helper()
	server, name := testkit.UsePostgreSQL(t), testkit.NewName()
	testkit.Execute(t, server, "CREATE DATABASE "+name+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { testkit.Execute(t, server, "DROP DATABASE "+name) })
	u := parsed(server)
	u.Path = "/" + name
	return u.String()
}
