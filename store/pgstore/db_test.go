package pgstore_test

import (
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// Plans can live in the database of the keys. The Store closes DB.
func TestPlansInTheSameDatabase(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema})
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true, MaxKeys: 5}})
	if err != nil {
		t.Fatal(err)
	}
	plans, err := sqlprovider.New(s.DB(), sqlstore.PostgreSQL, catalog, &sqlprovider.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := plans.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := plans.Put(t.Context(), entitlement.Subscription{Owner: "o", ID: "s", Plan: "pro", Status: entitlement.Active, StartedAt: epoch, UpdatedAt: epoch}); err != nil {
		t.Fatal(err)
	}
	insert(t, s, record("o", "k1"))
	if e, err := plans.Entitlement(t.Context(), "o"); err != nil || e.Plan != "pro" {
		t.Errorf("plan in the database of the keys: got %+v, %v, want pro", e, err)
	}
	s.Close()
	if err := s.DB().PingContext(t.Context()); err == nil {
		t.Error("DB after Close: got no error, want it to be closed")
	}
}
