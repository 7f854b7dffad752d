package plans_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

func TestEightMigrateAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		for range testkit.Scale(1, 20) {
			dsn := d.dsn(t)
			var wg sync.WaitGroup
			for range 8 {
				db := testkit.OpenDB(t, d.driver, dsn)
				wg.Go(func() {
					if err := newProvider(t, d, db, nil).Migrate(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			p := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
			put(t, p, bought("ann", "sub_1", "pro"), true)
		}
	})
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		testkit.ExecuteOn(t, db, "UPDATE keyhatch_plans_version SET version = 4")
		err := p.Migrate(t.Context())
		if err == nil || !strings.Contains(err.Error(), "schema version 4, this program knows versions up to 3") {
			t.Errorf("got %v, want an error with both versions", err)
		}
	})
}

// Without Migrate, an error says what to do.
func TestWithoutMigrate(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p := newProvider(t, d, testkit.OpenDB(t, d.driver, d.dsn(t)), nil)
		_, missing := p.Entitlement(t.Context(), "ann")
		_, put := p.Put(t.Context(), bought("ann", "1", "pro"))
		_, applied := p.Apply(t.Context(), reportedAt(1, sold("ann", "sub_1", "pro")))
		for name, err := range map[string]error{
			"Entitlement": missing, "Put": put, "Apply": applied, "Check": p.Check(t.Context()), "Prune": p.Prune(t.Context(), noon),
			"SetOverride":  p.SetOverride(t.Context(), "ann", entitlement.Override{MaxKeys: 1}),
			"SaveRejected": p.SaveRejected(t.Context(), "stripe", "evt_1", noon, "why", nil),
		} {
			if err == nil || !strings.Contains(err.Error(), "call Migrate") {
				t.Errorf("%s: got %v, want an error that says to call Migrate", name, err)
			}
		}
	})
}

func TestMigrateRefusesForeignTable(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		db := testkit.OpenDB(t, d.driver, d.dsn(t))
		testkit.ExecuteOn(t, db, "CREATE TABLE keyhatch_plans (id INTEGER NOT NULL PRIMARY KEY)")
		if err := newProvider(t, d, db, nil).Migrate(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "sqlprovider: migrate: ") {
			t.Errorf("a table of another program: got %v, want an error of Migrate", err)
		}
	})
}

func TestMigrateAndCheckRefuseUnknownPlans(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		s := bought("ann", "1", "legacy")
		s.Status = entitlement.Ended
		put(t, p, s, true)
		putHold(t, p, entitlement.Hold{Owner: "ann", ID: "2", StartedAt: noon, UpdatedAt: noon}, true)
		if err := p.Migrate(t.Context()); err != nil {
			t.Errorf("an ended subscription with an unknown plan, and a hold: got %v, want no error", err)
		}
		for _, status := range []string{"active", "past_due"} {
			testkit.ExecuteOn(t, db, "UPDATE keyhatch_plans SET status = '"+status+"' WHERE subscription = '1'")
			for name, err := range map[string]error{"Migrate": p.Migrate(t.Context()), "Check": p.Check(t.Context())} {
				if !errors.Is(err, entitlement.ErrUnknownPlan) || !strings.Contains(err.Error(), `"legacy"`) {
					t.Errorf("%s, %s: got %v, want an ErrUnknownPlan that names the plan", name, status, err)
				}
			}
		}
	})
}

// A subscription that Check ignores is not an outage for its owner either, even with
// the longest grace in the override.
func TestCheckPassesOverWhatHasLapsed(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		if err := p.SetOverride(t.Context(), "ann", entitlement.Override{Grace: entitlement.MaxGrace}); err != nil {
			t.Fatal(err)
		}
		put(t, p, bought("ann", "sub_1", "pro"), true)
		limit := time.Now().Add(-entitlement.MaxGrace)
		before, within := fmt.Sprint(limit.Add(-time.Minute).UnixMicro()), fmt.Sprint(limit.Add(time.Hour).UnixMicro())
		for _, c := range []struct {
			name, plan, status string
			until              string
			good, unknown      bool
		}{
			{"lapsed", "legacy", "active", before, true, false},
			{"lapsed, past due", "legacy", "past_due", before, true, false},
			{"lapsed, trialing", "legacy", "trialing", before, true, false},
			{"lapsed, cancelled", "legacy", "active_ending", before, true, false},
			{"lapsed, cancelled in a trial", "legacy", "trialing_ending", before, true, false},
			{"cancelled, forever", "legacy", "active_ending", "NULL", false, true},
			{"lapsed long ago", "legacy", "active", "0", true, false},
			{"in the longest grace", "legacy", "active", within, false, true},
			{"in the longest grace, past due", "legacy", "past_due", within, false, true},
			{"in the longest grace, trialing", "legacy", "trialing", within, false, true},
			{"forever", "legacy", "active", "NULL", false, true},
			{"lapsed, unknown status", "pro", "paused", before, false, false},
			{"lapsed, unknown status in capitals", "pro", "ACTIVE", before, false, false},
		} {
			testkit.ExecuteOn(t, db, fmt.Sprintf("UPDATE keyhatch_plans SET plan = '%s', status = '%s', valid_until = %s", c.plan, c.status, c.until))
			if e, err := p.Entitlement(t.Context(), "ann"); e.APIAccess || (err == nil) != c.good {
				t.Errorf("%s: the plan: got %+v, %v, want an outage error = %t", c.name, e, err, !c.good)
			}
			for name, err := range map[string]error{"Migrate": p.Migrate(t.Context()), "Check": p.Check(t.Context())} {
				if (err == nil) != c.good || errors.Is(err, entitlement.ErrUnknownPlan) != c.unknown {
					t.Errorf("%s, %s: got %v, want no error = %t, ErrUnknownPlan = %t", name, c.name, err, c.good, c.unknown)
				}
			}
		}
	})
}

// Tables whose names are SQL keywords, in one database with each other and with the keys.
func TestTablesOfAnyName(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		db := testkit.OpenDB(t, d.driver, dsn)
		keys, err := sqlstore.New(db, d.dialect, &sqlstore.Options{Schema: testkit.GetParam(dsn, "search_path")})
		if err == nil {
			err = keys.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"", "order", "select", "_", strings.Repeat("t", 48)} {
			p := newProvider(t, d, db, &sqlprovider.Options{Table: table})
			if err := p.Migrate(t.Context()); err != nil {
				t.Fatalf("table %q: %v", table, err)
			}
			put(t, p, bought("ann", "sub_1", "pro"), true) // each table is empty at first
		}
	})
}

func TestTablesInAnotherSchema(t *testing.T) {
	t.Parallel()
	for _, d := range databases[1:] {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			db, schema := testkit.OpenDB(t, d.driver, d.dsn(t)), testkit.NewName()
			testkit.ExecuteOn(t, db, "CREATE SCHEMA "+schema)
			cascade := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: " CASCADE"}[d.dialect]
			t.Cleanup(func() { testkit.ExecuteOn(t, db, "DROP SCHEMA "+schema+cascade) })
			for _, o := range []sqlprovider.Options{{Schema: schema}, {}, {Schema: schema, Table: "table"}} {
				p := newProvider(t, d, db, &o)
				if err := p.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				put(t, p, bought("ann", "sub_1", "pro"), true)
				if err := p.SetOverride(t.Context(), "ann", entitlement.Override{MaxKeys: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
