package databases_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// mysqlParams lists parameters that hosts set for the rest of their program.
var mysqlParams = []string{
	"clientFoundRows=true",
	"interpolateParams=true",
	"multiStatements=true",
	"parseTime=true&loc=Asia%2FTokyo",
	"sql_mode=%27%27",
	"sql_mode=%27ANSI%2CNO_BACKSLASH_ESCAPES%27",
	"clientFoundRows=true&interpolateParams=true&multiStatements=true&parseTime=true&sql_mode=%27%27",
}

// M-01: the host's parameters do not change the store's behaviour. The tests below check each of
// them where it matters.
func TestStoreOnMySQLWithParameters(t *testing.T) {
	for _, params := range mysqlParams[:testkit.Scale(0, len(mysqlParams))] {
		t.Run(params, func(t *testing.T) { storetest.Run(t, withMySQL(params)) })
	}
}

func withMySQL(params string) func(*testing.T) store.Store {
	return func(t *testing.T) store.Store { return sqlStore(t, sqlstore.MySQL, mysqlDB(t, params)) }
}

func forEachParam(t *testing.T, check func(*testing.T, store.Store)) {
	t.Parallel()
	for _, params := range mysqlParams {
		t.Run(params, func(t *testing.T) {
			t.Parallel()
			check(t, withMySQL(params)(t))
		})
	}
}

func TestMySQLWorksWithEveryParameter(t *testing.T) {
	forEachParam(t, func(t *testing.T, s store.Store) { works(t, s) })
}

// With clientFoundRows, the count of rows does not distinguish an insert from a repetition.
func TestMySQLTellsDuplicates(t *testing.T) {
	forEachParam(t, func(t *testing.T, s store.Store) {
		first := record("o", "k")
		insert(t, s, first)
		for name, change := range map[string]func(*store.Record){
			"the very same":                func(*store.Record) {},
			"the same id":                  func(r *store.Record) { r.Digest = sha256.Sum256([]byte("other")) },
			"the same digest":              func(r *store.Record) { r.ID = "other" },
			"another owner":                func(r *store.Record) { r.Owner = "other" },
			"another owner and the id":     func(r *store.Record) { r.Owner, r.Digest = "other", sha256.Sum256([]byte("other")) },
			"another owner and the digest": func(r *store.Record) { r.Owner, r.ID = "other", "other" },
		} {
			r := record("o", "k")
			change(&r)
			for _, limit := range []int{-1, 0, 1} {
				if err := s.Insert(t.Context(), r, limit); !errors.Is(err, store.ErrDuplicate) {
					t.Errorf("%s, limit %d: got %v, want %v", name, limit, err, store.ErrDuplicate)
				}
			}
		}
		if n := stored(t, s, "o") + stored(t, s, "other"); n != 1 {
			t.Errorf("records after duplicate inserts: got %d, want 1", n)
		}
	})
}

func TestMySQLAdmitsOneOfFifty(t *testing.T) {
	forEachParam(t, func(t *testing.T, s store.Store) {
		for name, of := range map[string]func(i int) store.Record{
			"equal":        func(int) store.Record { return record("o", "equal") },
			"of one id":    func(i int) store.Record { r := record("o", "id"); r.Digest[0] = byte(i); return r },
			"of 50 owners": func(i int) store.Record { return record(fmt.Sprint("o", i), "owners") },
		} {
			errs := make([]error, 50)
			together(len(errs), func(i int) { errs[i] = s.Insert(t.Context(), of(i), -1) })
			var winners int
			for _, err := range errs {
				switch {
				case err == nil:
					winners++
				case !errors.Is(err, store.ErrDuplicate):
					t.Errorf("%s: got %v, want %v or nil", name, err, store.ErrDuplicate)
				}
			}
			if winners != 1 {
				t.Errorf("successful inserts of 50 %s: got %d, want 1", name, winners)
			}
		}
	})
}

// A value that a column cannot hold returns an outage error in every sql_mode.
func TestMySQLCutsNothingOff(t *testing.T) {
	const invalid = "not UTF-8: \xff and more"
	longID, longText := strings.Repeat("x", 256), strings.Repeat("x", 1<<16)
	inserts := map[string]func(*store.Record){
		"id":       func(r *store.Record) { r.ID = longID },
		"owner":    func(r *store.Record) { r.Owner = longID },
		"name":     func(r *store.Record) { r.Name = longText },
		"hint":     func(r *store.Record) { r.Hint = longText },
		"creator":  func(r *store.Record) { r.CreatedBy = longText },
		"scope":    func(r *store.Record) { r.Scopes = []string{longText} },
		"metadata": func(r *store.Record) { r.Metadata = map[string]string{"x": longText} },
		"encoding": func(r *store.Record) { r.Name = invalid },
	}
	updates := map[string]store.Change{
		"name":     {Name: ptr(longText)},
		"scope":    {Scopes: []string{longText}},
		"metadata": {Metadata: map[string]string{"x": longText}},
		"encoding": {Name: ptr(invalid)},
	}
	forEachParam(t, func(t *testing.T, s store.Store) {
		kept := record("o", "kept")
		insert(t, s, kept)
		for field, change := range inserts {
			r := record("o", "with its "+field+" too long")
			change(&r)
			outage(t, s.Insert(t.Context(), r, -1), "Insert of a bad "+field)
			if _, err := s.Lookup(t.Context(), r.Digest); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("an Insert of an invalid %s wrote a row: %v", field, err)
			}
		}
		for field, c := range updates {
			c.At = epoch
			_, err := s.Update(t.Context(), "o", "kept", c)
			outage(t, err, "Update to a bad "+field)
		}
		_, _, err := s.Revoke(t.Context(), "o", "kept", epoch, longText)
		outage(t, err, "Revoke for a long reason")
		_, err = s.RevokeAll(t.Context(), "o", epoch, longText)
		outage(t, err, "RevokeAll for a long reason")
		_, _, err = s.Rotate(t.Context(), "o", "kept", record("", longID), epoch, -1)
		outage(t, err, "Rotate to a long id")
		if r, err := s.Get(t.Context(), "o", "kept"); err != nil || !reflect.DeepEqual(r, kept) {
			t.Errorf("a failed call changed the record: got %+v, %v, want %+v", r, err, kept)
		}
	})
}

// Migrate refuses settings that would lose characters, or show rows from before a revocation.
func TestMigrateRefusesSettings(t *testing.T) {
	t.Parallel()
	isolation := "transaction_isolation"
	if strings.Contains(testkit.QueryValue[string](t, testkit.OpenDB(t, "mysql", testkit.UseMySQL(t)), "SELECT VERSION()"), "MariaDB") {
		isolation = "tx_isolation" // the name that every version knows
	}
	for params, want := range map[string]string{
		isolation + "=%27READ-UNCOMMITTED%27": "READ-UNCOMMITTED, want",
		"charset=latin1":                      "charset of the connection is latin1, want utf8mb4",
		"charset=utf8mb3":                     "charset of the connection is utf8",
		"character_set_results=latin1":        "want utf8mb4",
		"autocommit=0":                        "autocommit is off",
	} {
		t.Run(params, func(t *testing.T) {
			dsn := mysqlDSN(t, "")
			bad, good := testkit.OpenDB(t, "mysql", withMySQLParams(dsn, params)), testkit.OpenDB(t, "mysql", dsn)
			for name, s := range map[string]*sqlstore.Store{
				"writes": newStore(t, sqlstore.MySQL, bad, &sqlstore.Options{Reads: good}),
				"reads":  newStore(t, sqlstore.MySQL, good, &sqlstore.Options{Reads: bad}),
			} {
				if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("a pool for %s with %s: got %v, want an error that says %q", name, params, err, want)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
