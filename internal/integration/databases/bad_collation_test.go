package databases_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// loosely makes different owners and IDs equal, as in a table that another tool created with its
// default collation.
var loosely = map[sqlstore.Dialect]string{
	sqlstore.PostgreSQL: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		ALTER TABLE keyhatch_keys ALTER owner TYPE text COLLATE loose, ALTER id TYPE text COLLATE loose;
		ALTER TABLE keyhatch_keys_owners ALTER owner TYPE text COLLATE loose`,
	sqlstore.MySQL: `ALTER TABLE keyhatch_keys MODIFY owner VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL,
			MODIFY id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL;
		ALTER TABLE keyhatch_keys_owners MODIFY owner VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL`,
}

func looseStore(t *testing.T, d database) store.Store {
	t.Helper()
	db := d.open(t)
	if d.dialect == sqlstore.SQLite { // which cannot alter a column
		file, err := os.ReadFile("../../../store/sqlstore/schema/sqlite/1.sql")
		if err != nil {
			t.Fatal(err)
		}
		loose := strings.NewReplacer("owner         TEXT ", "owner TEXT COLLATE NOCASE ", "id            TEXT ", "id TEXT COLLATE NOCASE ").Replace(string(file))
		testkit.ExecuteOn(t, db, loose)
		return sqlStore(t, d.dialect, db)
	}
	s := sqlStore(t, d.dialect, db)
	for statement := range strings.SplitSeq(loosely[d.dialect], ";") {
		testkit.ExecuteOn(t, db, statement)
	}
	return s
}

// M-01: if the database treats two owners as equal, neither can see or revoke the other's keys.
func TestOwnersThatTheDatabaseTakesForOne(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		others := []string{"ANN", "Ann"}
		if d.dialect == sqlstore.MySQL {
			others = append(others, "ann ", "ánn") // pad spaces and fold accents
		}
		t.Run(d.name, func(t *testing.T) {
			s := looseStore(t, d)
			kept := record("ann", "k1")
			insert(t, s, kept)
			same(t, d, s, others)
			for _, other := range others {
				takesNothing(t, s, other)
			}
			if r, err := s.Get(t.Context(), "ann", "k1"); err != nil || !reflect.DeepEqual(r, kept) {
				t.Errorf("ann's key: got %+v, %v, want it unchanged", r, err)
			}
		})
	}
}

// same fails the test unless the database treats each of the owners as equal to ann.
func same(t *testing.T, d database, s store.Store, others []string) {
	t.Helper()
	for _, other := range others {
		_, err := s.List(t.Context(), store.Query{Owner: other})
		outage(t, err, "List of "+other)
		if err != nil && !strings.Contains(err.Error(), "collation") {
			t.Errorf("the error does not name its cause: got %v, want the collation in it", err)
		}
	}
}

func takesNothing(t *testing.T, s store.Store, other string) {
	t.Helper()
	ctx, name := t.Context(), "taken"
	if page, err := s.List(ctx, store.Query{Owner: other}); err == nil || len(page.Records) > 0 {
		t.Errorf("List for %q: got %v, %v", other, page, err)
	}
	if rs, err := s.RevokeAll(ctx, other, epoch, "taken"); err == nil || len(rs) > 0 {
		t.Errorf("RevokeAll for %q: got %v, %v", other, rs, err)
	}
	_, get := s.Get(ctx, other, "k1")
	_, update := s.Update(ctx, other, "k1", store.Change{At: epoch, Name: &name})
	_, _, rotate := s.Rotate(ctx, other, "k1", record("", "k2"), epoch, -1)
	_, _, revoke := s.Revoke(ctx, other, "k1", epoch, "taken")
	for call, err := range map[string]error{"Get": get, "Update": update, "Rotate": rotate, "Revoke": revoke} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s by %q of ann's key: got %v, want %v", call, other, err, store.ErrNotFound)
		}
	}
}

// A different ID that the database treats as equal is not found.
func TestIDsThatTheDatabaseTakesForOne(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			s := looseStore(t, d)
			kept, name := record("ann", "k1"), "taken"
			insert(t, s, kept)
			ctx := t.Context()
			_, get := s.Get(ctx, "ann", "K1")
			_, update := s.Update(ctx, "ann", "K1", store.Change{At: epoch, Name: &name})
			_, _, rotate := s.Rotate(ctx, "ann", "K1", record("", "k2"), epoch, -1)
			_, _, revoke := s.Revoke(ctx, "ann", "K1", epoch, "taken")
			allFail(t, map[string]error{"Get": get, "Update": update, "Rotate": rotate, "Revoke": revoke}, "collation")
			if r, err := s.Get(ctx, "ann", "k1"); err != nil || !reflect.DeepEqual(r, kept) {
				t.Errorf("k1: got %+v, %v, want it unchanged", r, err)
			}
		})
	}
}
