package databases_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// calls for an owner with very many current or ended keys, compared with a rotation for an
// owner with one key. KEYHATCH_SOAK=1 has 100,000 current keys and 1,000,000 ended ones. On an
// idle machine each call then takes less than 50 ms.
func BenchmarkOwnerWithManyKeys(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			db := d.open(b)
			s := sqlStore(b, d.dialect, db)
			current, ended := testkit.Scale(5_000, 100_000), testkit.Scale(10_000, 1_000_000)
			fillOwner(b, db, d.dialect, "current", 0, current)
			fillOwner(b, db, d.dialect, endedOwner, current, ended)
			for _, statement := range filler[d.dialect].after {
				testkit.ExecuteOn(b, db, statement)
			}
			insert(b, s, record("few", "first"))
			figures := []*figure{
				rotations(b, s, "few", "first", 2), rotations(b, s, "current", "k0", current+1),
				inserts(b, s, endedOwner), counting(b, s, endedOwner),
				listing(b, s, "all", store.FilterAll), listing(b, s, "current", store.FilterCurrent),
			}
			for i := 0; b.Loop(); i++ {
				takeTurns(b, i, figures...)
			}
			for _, f := range figures {
				b.ReportMetric(micro(f.percentile(50)), f.name+"-p50-µs")
				b.ReportMetric(micro(f.percentile(99)), f.name+"-p99-µs")
			}
			b.ReportMetric(0, "ns/op") // the time of all calls together has no meaning
		})
	}
}

// fillOwner makes the database generate n keys of one owner. The name of a key is k and a number;
// the numbers begin with first. The keys of endedOwner have one of three states in turn: replaced
// and expired, expired, or revoked. The keys of other owners are active.
func fillOwner(t testing.TB, db *sql.DB, d sqlstore.Dialect, owner string, first, n int) {
	t.Helper()
	states := "'', NULL, NULL"
	if owner == endedOwner {
		states = `CASE WHEN i % 3 = 0 THEN 'next' ELSE '' END, CASE WHEN i % 3 < 2 THEN EPOCH + 1 END,
			CASE WHEN i % 3 = 2 THEN EPOCH + 1 END`
	}
	const most = 100_000 // rows of one statement
	for from := first; from < first+n; from += most {
		text := `INSERT INTO keyhatch_keys (digest, id, owner, name, hint, created_by, scopes, metadata, revoke_reason,
				created_at, replaced_by, expires_at, revoked_at)
			SELECT DIGEST AS digest, CONCAT('k', i), 'OWNER', 'a key', 'key_ab', 'admin', '["a:read"]', '{}', '',
				EPOCH + i, ` + states + `
			FROM (SELECT i + FIRST AS i FROM NUMBERS) AS numbers ORDER`
		for _, word := range [][2]string{
			{"DIGEST", filler[d].digest}, {"NUMBERS", filler[d].numbers}, {"ORDER", filler[d].order}, {"OWNER", owner},
			{"FIRST", fmt.Sprint(from)}, {"ROWS", fmt.Sprint(min(most, first+n-from))}, {"EPOCH", fmt.Sprint(epoch.UnixMicro())},
		} {
			text = strings.ReplaceAll(text, word[0], word[1])
		}
		testkit.ExecuteOn(t, db, text)
	}
}

// dayOf returns the time of call i. Each call is a day after the previous one, so that earlier
// grace periods have ended.
func dayOf(i int) time.Time { return epoch.AddDate(0, 0, i+1) }

// rotations rotates a key, then its successor, and so on, each with a grace period and with the
// owner at the limit.
func rotations(t testing.TB, s store.Store, owner, id string, limit int) *figure {
	run := testkit.NewName()
	return &figure{name: "rotate-" + owner, call: func(i int) error {
		next := record(owner, fmt.Sprint(run, i))
		next.CreatedAt = dayOf(i)
		_, _, err := s.Rotate(t.Context(), owner, id, next, dayOf(i).Add(time.Hour), limit)
		id = next.ID
		return err
	}}
}

func inserts(t testing.TB, s store.Store, owner string) *figure {
	run := testkit.NewName()
	return &figure{name: "insert-" + owner, call: func(i int) error {
		r := record(owner, fmt.Sprint(run, i))
		r.CreatedAt, r.ExpiresAt = dayOf(i), dayOf(i+1)
		return s.Insert(t.Context(), r, 2)
	}}
}

func counting(t testing.TB, s store.Store, owner string) *figure {
	return &figure{name: "count-" + owner, call: func(i int) error {
		n, err := s.Count(t.Context(), owner, dayOf(i))
		if err == nil && n > 1 {
			err = fmt.Errorf("records that count: got %d, want at most one", n)
		}
		return err
	}}
}

func listing(t testing.TB, s store.Store, name string, part store.Filter) *figure {
	return &figure{name: "list-" + name + "-with-ended", call: func(i int) error {
		_, err := s.List(t.Context(), store.Query{Owner: endedOwner, Filter: part, At: dayOf(i)})
		return err
	}}
}
