package sqlitestore_test

import (
	"context"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// Plans can live in the file of the keys. The Store closes the database.
func TestPlansInTheSameFile(t *testing.T) {
	t.Parallel()
	s := open(t, newFile(t))
	catalog, err := entitlement.NewCatalog(map[string]entitlement.Entitlement{"pro": {APIAccess: true, MaxKeys: 5}})
	if err != nil {
		t.Fatal(err)
	}
	plans, err := sqlprovider.New(s.DB(), sqlstore.SQLite, catalog, nil)
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
		t.Errorf("plan in the file of the keys: got %+v, %v, want pro", e, err)
	}
	s.Close()
	if err := s.DB().PingContext(t.Context()); err == nil {
		t.Error("DB after Close: got no error, want it to be closed")
	}
}

// A transaction on DB delays writes of the Store, and does not delay reads.
func TestTransactionOnDB(t *testing.T) {
	t.Parallel()
	s := open(t, newFile(t))
	insert(t, s, record("o", "k1"))
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Insert(ctx, record("o", "k2"), -1); err == nil {
		t.Error("Insert during a transaction on DB: got no error, want it to wait until its context ends")
	}
	if _, err := s.Get(t.Context(), "o", "k1"); err != nil {
		t.Errorf("Get during a transaction on DB: got %v, want no error", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	insert(t, s, record("o", "k2"))
}
