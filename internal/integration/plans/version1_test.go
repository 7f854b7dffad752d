package plans_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// version1 is a program that knows only version 1 of the schema. Do not adapt its
// statements to later versions.
type version1 struct{ db *sql.DB }

// A version1Row is a subscription, or a hold if its status is held. Version 1 releases a
// hold by the status ended. Instants are in microseconds, or NULL.
type version1Row struct {
	id, plan, status string
	since, paid      string
	updated          int
}

// openVersion1 creates the tables of version 1 in an empty database.
func openVersion1(t testing.TB, d database, dsn string) version1 {
	t.Helper()
	text, err := os.ReadFile("../../../entitlement/sqlprovider/schema/" + string(d.dialect) + "/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	v := version1{testkit.OpenDB(t, d.driver, dsn)}
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if strings.TrimSpace(statement) != "" {
			testkit.ExecuteOn(t, v.db, statement)
		}
	}
	return v
}

// put inserts a row, or updates it if there is one.
func (v version1) put(ctx context.Context, owner string, r version1Row) error {
	_, err := v.exec(ctx, fmt.Sprintf(`INSERT INTO keyhatch_plans (owner, subscription, plan, status, since, paid_from, valid_until, updated_at, version, written_at)
		SELECT '%s', '%s', '%s', '%s', %s, %s, NULL, %d, 0, 0 FROM (SELECT 1 AS one) AS one
		WHERE NOT EXISTS (SELECT 1 FROM keyhatch_plans WHERE owner = '%[1]s' AND subscription = '%[2]s')`,
		owner, r.id, r.plan, r.status, r.since, r.paid, r.updated))
	if err == nil {
		_, err = v.exec(ctx, fmt.Sprintf(`UPDATE keyhatch_plans SET plan = '%s', status = '%s', since = %s, paid_from = %s, valid_until = NULL,
			updated_at = %d, version = 0, written_at = written_at + 1 WHERE owner = '%s' AND subscription = '%s'`,
			r.plan, r.status, r.since, r.paid, r.updated, owner, r.id))
	}
	return err
}

// exec waits for other writers, as a Provider does.
func (v version1) exec(ctx context.Context, statement string) (result sql.Result, err error) {
	for giveUp := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		result, err = v.db.ExecContext(ctx, statement)
		if err == nil || !strings.Contains(err.Error(), "database is locked") && !strings.Contains(err.Error(), "Error 1213") || time.Now().After(giveUp) {
			return result, err
		}
	}
}

// statuses returns the status of each row of the owner, by ID.
func (v version1) statuses(ctx context.Context, owner string) (map[string]string, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT owner, subscription, plan, status, since, paid_from, valid_until, updated_at, version
		FROM keyhatch_plans WHERE owner = '`+owner+`'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var id, status string
		var ignored any
		if err := rows.Scan(&ignored, &id, &ignored, &status, &ignored, &ignored, &ignored, &ignored, &ignored); err != nil {
			return nil, err
		}
		all[id] = status
	}
	return all, rows.Err()
}

// a program of version 1 may write a hold after Migrate, and release it. Put and
// PutHold treat it as a hold.
func TestHoldsOfVersion1AfterMigrate(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		old := openVersion1(t, d, dsn)
		p := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
		for _, r := range []version1Row{
			{"chargeback 1", "", "held", "9000000", "NULL", 5000000},
			{"dispute:dp_1", "", "ended", "9000000", "NULL", 5000000},
			{"refund:pay_1", "", "ended", "9000000", "NULL", 5000000},
		} {
			if err := old.put(t.Context(), "ann", r); err != nil {
				t.Fatal(err)
			}
			s := bought("ann", r.id, "pro")
			if changed, err := p.Put(t.Context(), s); changed || !isInvalid(err) {
				t.Errorf("a subscription with the ID of %q: got %v, %v, want an InvalidError", r.id, changed, err)
			}
			h := entitlement.Hold{Owner: "ann", ID: r.id, StartedAt: at(9), UpdatedAt: at(4)}
			putHold(t, p, h, false)
			h.UpdatedAt = at(6)
			putHold(t, p, h, true)
		}
		if got := holds(t, p, "ann"); len(got) != 3 || got[0].Released || got[1].Released || got[2].Released {
			t.Errorf("got %+v, want the three newer states", got)
		}
	})
}

func at(second int) time.Time { return time.Unix(int64(second), 0).UTC() }

// Migrate turns the rows of version 1 into subscriptions and holds.
func TestMigrateKeepsTheRowsOfVersion1(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		old := openVersion1(t, d, dsn)
		for _, r := range []version1Row{
			{"sub_1", "pro", "active", "1000000", "5000000", 5000000},
			{"sub_2", "", "ended", "2000000", "NULL", 6000000},
			{"refund:pay_1", "", "held", "3000000", "2000000", 7000000},
			{"dispute:dp_1", "", "ended", "4000000", "NULL", 8000000},
			{"chargeback 1", "", "held", "500000", "NULL", 9000000}, // the host's own
			{"dispute:plan", "pro", "ended", "NULL", "NULL", 1000000},
		} {
			if err := old.put(t.Context(), "ann", r); err != nil {
				t.Fatal(err)
			}
		}
		p := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
		check := func(when string) {
			t.Helper()
			wantSubscriptions := []entitlement.Subscription{
				{Owner: "ann", ID: "sub_2", Status: entitlement.Ended, StartedAt: at(2), UpdatedAt: at(6)},
				{Owner: "ann", ID: "sub_1", Plan: "pro", Status: entitlement.Active, StartedAt: at(1), PeriodStart: at(5), UpdatedAt: at(5)},
				{Owner: "ann", ID: "dispute:plan", Plan: "pro", Status: entitlement.Ended, UpdatedAt: at(1)},
			}
			wantHolds := []entitlement.Hold{
				{Owner: "ann", ID: "dispute:dp_1", StartedAt: at(4), Released: true, UpdatedAt: at(8)},
				{Owner: "ann", ID: "refund:pay_1", StartedAt: at(3), PeriodStart: at(2), UpdatedAt: at(7)},
				{Owner: "ann", ID: "chargeback 1", StartedAt: at(0).Add(500 * time.Millisecond), UpdatedAt: at(9)},
			}
			if got := subscriptions(t, p, "ann"); !reflect.DeepEqual(got, wantSubscriptions) {
				t.Errorf("%s: got  %+v\nwant %+v", when, got, wantSubscriptions)
			}
			if got := holds(t, p, "ann"); !reflect.DeepEqual(got, wantHolds) {
				t.Errorf("%s: got  %+v\nwant %+v", when, got, wantHolds)
			}
			if e, err := p.Entitlement(t.Context(), "ann"); err != nil || e.Plan != "pro" || !e.APIAccess {
				t.Errorf("%s: got %+v, %v, want access", when, e, err)
			}
		}
		check("after Migrate")
		if d.dialect == sqlstore.MySQL { // the only one that does not roll back a failed migration
			testkit.ExecuteOn(t, old.db, "UPDATE keyhatch_plans_version SET version = 1")
			migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
			check("after an interrupted Migrate")
		}
	})
}

// programs of version 1 read and write while Migrate updates a table of many rows,
// and afterwards. None of their calls fails, and programs of both versions see the same
// holds. The test logs how long Migrate and the longest call took.
func TestMigrateDuringVersion1Traffic(t *testing.T) {
	thousands := testkit.Scale(5, 1000)
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		old := openVersion1(t, d, dsn)
		testkit.ExecuteOn(t, old.db, fmt.Sprintf(`INSERT INTO keyhatch_plans (owner, subscription, plan, status, since, updated_at, version, written_at)
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
			SELECT CONCAT('owner ', 1000 * a.i + b.i), CONCAT('sub_', 1000 * a.i + b.i), 'pro', 'active', 1, 1, 0, 0 FROM n AS a CROSS JOIN n AS b WHERE a.i < %d`, thousands))
		hold := func(owner, status string, version int) {
			t.Helper()
			if err := old.put(t.Context(), owner, version1Row{"dispute:" + owner, "", status, "9000000", "NULL", version}); err != nil {
				t.Error(err)
			}
		}
		ctx, end := context.WithCancel(t.Context())
		var others sync.WaitGroup
		var longest time.Duration
		held := 0
		others.Go(func() {
			for ; ctx.Err() == nil; held++ {
				owner := fmt.Sprint("owner ", held)
				began := time.Now()
				hold(owner, "held", 1)
				if got, err := old.statuses(t.Context(), owner); err != nil || got["dispute:"+owner] != "held" {
					t.Errorf("a read during Migrate: got %v, %v, want the hold", got, err)
				}
				longest = max(longest, time.Since(began))
			}
		})
		began := time.Now()
		p := migrated(t, d, testkit.OpenDB(t, d.driver, dsn))
		took := time.Since(began)
		end()
		others.Wait()
		t.Logf("%d rows: Migrate took %v, and the longest write and read of version 1 took %v", 1000*thousands, took, longest)

		access := func(owner string, want bool) {
			t.Helper()
			if e, err := p.Entitlement(t.Context(), owner); err != nil || e.APIAccess != want {
				t.Errorf("%s: got %+v, %v, want access = %t", owner, e, err, want)
			}
		}
		held = min(held, thousands*1000-4)
		for i := range held {
			access(fmt.Sprint("owner ", i), false)
		}
		one, two, three := fmt.Sprint("owner ", held+1), fmt.Sprint("owner ", held+2), fmt.Sprint("owner ", held+3)
		access(one, true)
		hold(one, "held", 1)
		access(one, false)
		hold(one, "ended", 2)
		access(one, true)
		hold(two, "ended", 2) // of a hold whose first event is late
		access(two, true)
		h := entitlement.Hold{Owner: three, ID: "dispute:" + three, StartedAt: at(9), UpdatedAt: at(9)}
		for _, want := range []string{"held", "ended"} {
			putHold(t, p, h, true)
			if got, err := old.statuses(t.Context(), three); err != nil || got[h.ID] != want {
				t.Errorf("version 1: got %v, %v, want the hold to be %s", got, err, want)
			}
			access(three, want == "ended")
			h.Released, h.Version = true, 1
		}
	})
}
