package plans_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// E-15: invalid rows that others write to the table count as an outage.
func TestHostileRowsAreAnOutage(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		for _, change := range []string{
			"status = 'paused'", "status = 'ACTIVE'", "kind = 'hold'", "kind = 'HOLD'", "status = ''", "version = -1", "valid_until = 9000000000000000000",
			"plan = 'premium'", "plan = ''",
		} {
			testkit.ExecuteOn(t, db, "DELETE FROM keyhatch_plans")
			put(t, p, bought("ann", "sub_1", "pro"), true)
			testkit.ExecuteOn(t, db, "UPDATE keyhatch_plans SET "+change)
			outage(t, p, change)
		}
		testkit.ExecuteOn(t, db, "UPDATE keyhatch_plans SET plan = 'pro'")
		for _, override := range []string{"", "{", `{"admin": true}`, `{"max_keys": 0}`, `[]`, `{"max_keys": 1, "max_keys": 2}`} {
			testkit.ExecuteOn(t, db, "DELETE FROM keyhatch_plans_overrides")
			testkit.ExecuteOn(t, db, "INSERT INTO keyhatch_plans_overrides (owner, overrides, written_at) VALUES ('ann', '"+override+"', 0)")
			outage(t, p, override)
		}
	})
}

func outage(t *testing.T, p *sqlprovider.Provider, name string) {
	t.Helper()
	if e, err := p.Entitlement(t.Context(), "ann"); err == nil || errors.Is(err, entitlement.ErrNone) || e.APIAccess {
		t.Errorf("%s: got %+v, %v, want an outage", name, e, err)
	}
}

// If a table was created by hand with a collation that ignores case, no owner gets the plan
// of another one.
func TestForeignCollationIsAnOutage(t *testing.T) {
	t.Parallel()
	d := databases[0]
	db := testkit.OpenDB(t, d.driver, d.dsn(t))
	testkit.ExecuteOn(t, db, `CREATE TABLE keyhatch_plans (owner TEXT COLLATE NOCASE, subscription TEXT, kind TEXT, plan TEXT, status TEXT,
		since INTEGER, paid_from INTEGER, valid_until INTEGER, updated_at INTEGER, version INTEGER, written_at INTEGER, PRIMARY KEY (owner, subscription))`)
	testkit.ExecuteOn(t, db, "CREATE TABLE keyhatch_plans_overrides (owner TEXT COLLATE NOCASE PRIMARY KEY, overrides TEXT, written_at INTEGER)")
	p := newProvider(t, d, db, nil)
	put(t, p, bought("ANN", "sub_1", "pro"), true)
	outage(t, p, "another owner's plan")
	if err := p.SetOverride(t.Context(), "ANN", entitlement.Override{MaxKeys: 9}); err != nil {
		t.Fatal(err)
	}
	if o, err := p.Override(t.Context(), "ann"); err == nil {
		t.Errorf("got another owner's override %+v, want an error", o)
	}
}

func TestClosedDatabaseIsAnOutage(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		db.Close()
		outage(t, p, "a closed pool")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newProvider(t, d, testkit.OpenDB(t, d.driver, d.dsn(t)), nil).Put(ctx, bought("ann", "", "pro")); !errors.Is(err, context.Canceled) {
			t.Errorf("Put with an ended context: got %v", err)
		}
	})
}

func TestMissingTableIsAnOutage(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p := newProvider(t, d, testkit.OpenDB(t, d.driver, d.dsn(t)), nil)
		outage(t, p, "no table")
		if err := p.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "sqlprovider: check: ") {
			t.Errorf("Check without a table: got %v", err)
		}
	})
}
