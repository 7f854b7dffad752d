package pgstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// The rights in the package documentation are sufficient.
func TestRights(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	role := newRole(t, dsn, "")
	o := &pgstore.Options{Schema: schema}
	testkit.Execute(t, dsn, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)

	if _, err := pgstore.Open(t.Context(), logInAs(dsn, role, "postgres", ""), o); err == nil || !strings.Contains(err.Error(), "permission denied for schema") {
		t.Errorf("no tables and no right to create them: got %v, want an error that says so", err)
	}
	open(t, dsn, o) // creates the tables, as a migration tool would
	testkit.Execute(t, dsn, "GRANT SELECT, INSERT, UPDATE ON "+schema+".keyhatch_keys, "+schema+".keyhatch_keys_owners TO "+role)
	testkit.Execute(t, dsn, "GRANT SELECT, UPDATE ON "+schema+".keyhatch_keys_revocations TO "+role)
	testkit.Execute(t, dsn, "GRANT SELECT ON "+schema+".keyhatch_keys_version TO "+role)
	s := open(t, logInAs(dsn, role, "postgres", ""), o)

	for what, err := range everyCall(t, s) {
		if err != nil {
			t.Errorf("%s needs more rights than documented: %v", what, err)
		}
	}
}

func everyCall(t *testing.T, s store.Store) map[string]error {
	ctx := t.Context()
	name, next := "changed", record("o", "next")
	calls := map[string]error{"Insert": s.Insert(ctx, record("o", "k1"), 5)}
	_, calls["Lookup"] = s.Lookup(ctx, record("o", "k1").Digest)
	_, calls["Get"] = s.Get(ctx, "o", "k1")
	_, calls["List"] = s.List(ctx, store.Query{Owner: "o"})
	_, calls["Count"] = s.Count(ctx, "o", epoch)
	_, calls["Update"] = s.Update(ctx, "o", "k1", store.Change{At: epoch, Name: &name})
	calls["Touch"] = s.Touch(ctx, []store.Use{{Digest: record("o", "k1").Digest, At: epoch}})
	_, _, calls["Rotate"] = s.Rotate(ctx, "o", "k1", next, epoch.Add(time.Hour), -1)
	_, _, calls["Revoke"] = s.Revoke(ctx, "o", "k1", epoch, "leaked")
	_, calls["RevokeAll"] = s.RevokeAll(ctx, "o", epoch, "closed")
	_, calls["Revocations"] = s.(store.RevocationCounter).Revocations(ctx)
	return calls
}

// newRole creates a user who is dropped when the test ends.
func newRole(t *testing.T, dsn, with string) string {
	t.Helper()
	name := testkit.NewName()
	testkit.Execute(t, dsn, "CREATE ROLE "+name+" LOGIN "+with)
	t.Cleanup(func() {
		testkit.Execute(t, dsn, "DROP OWNED BY "+name)
		testkit.Execute(t, dsn, "DROP ROLE "+name)
	})
	return name
}
