package plans_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// a write that the database skips without an error counts as an outage.
func TestSkippedWriteIsAnOutage(t *testing.T) {
	t.Parallel()
	skips := map[string][]string{
		"SQLite": {
			"CREATE TRIGGER %s_insert BEFORE INSERT ON %s BEGIN SELECT RAISE(IGNORE); END",
			"CREATE TRIGGER %s_update BEFORE UPDATE ON %s BEGIN SELECT RAISE(IGNORE); END",
		},
		"PostgreSQL": {"CREATE TRIGGER skip BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION skip()"},
	}
	for _, d := range databases[:2] { // a trigger of MySQL cannot skip a row
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			p, db := d.start(t)
			old := bought("ann", "sub_1", "pro")
			put(t, p, old, true)
			apply(t, p, reportedAt(1, sold("ann", "sub_0", "pro")))
			if d.name == "PostgreSQL" {
				testkit.ExecuteOn(t, db, "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
			}
			for _, table := range []string{"keyhatch_plans", "keyhatch_plans_overrides", "keyhatch_plans_records", "keyhatch_plans_rejected"} {
				for _, skip := range skips[d.name] {
					testkit.ExecuteOn(t, db, strings.ReplaceAll(skip, "%s", table))
				}
			}
			ended := old
			ended.Status, ended.UpdatedAt = entitlement.Ended, old.UpdatedAt.Add(time.Second)
			for name, s := range map[string]entitlement.Subscription{"a new one": bought("bob", "sub_2", "pro"), "a newer state": ended} {
				if changed, err := p.Put(t.Context(), s); changed || err == nil || errors.As(err, new(*entitlement.InvalidError)) {
					t.Errorf("Put of %s: got %v, %v, want an outage", name, changed, err)
				}
			}
			put(t, p, old, false) // which is kept
			applied := func(r entitlement.Report) error {
				_, err := p.Apply(t.Context(), r)
				return err
			}
			_, moved := p.SetOwner(t.Context(), "stripe", "sub_0", "bob")
			_, held := p.PutHold(t.Context(), entitlement.Hold{Owner: "ann", ID: "dispute_1", UpdatedAt: noon})
			for name, err := range map[string]error{
				"PutHold":                held,
				"SetOverride":            p.SetOverride(t.Context(), "ann", entitlement.Override{MaxKeys: 9}),
				"SaveRejected":           p.SaveRejected(t.Context(), "stripe", "evt_1", noon, "unknown", nil),
				"Apply":                  applied(reportedAt(1, sold("ann", "sub_1", "pro"))),
				"Apply of a newer state": applied(reportedAt(2, sold("ann", "sub_0", "pro"))),
				"Apply of a payment":     applied(reportedAt(1, paid("in_1", "sub_0"))),
				"SetOwner":               moved,
			} {
				isOutage(t, err, "skipped a write", name)
			}
		})
	}
}
