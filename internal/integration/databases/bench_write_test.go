package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// BenchmarkCreate measures calls of Insert per second: from one and from sixteen goroutines, for
// several owners and for a single owner. It compares them with the bare statement.
func BenchmarkCreate(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			db := d.open(b)
			if d.dialect != sqlstore.SQLite {
				db.SetMaxOpenConns(16)
				db.SetMaxIdleConns(16)
			}
			s := sqlStore(b, d.dialect, db)
			insert := d.prepare(b, db, `INSERT INTO keyhatch_keys (digest, id, owner, name, hint, created_by, revoke_reason,
				replaced_by, scopes, metadata, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
			for _, c := range []struct{ creators, owners int }{{1, 1}, {16, 16}, {16, 1}} {
				b.Run(fmt.Sprintf("creators=%d/owners=%d", c.creators, c.owners), func(b *testing.B) {
					benchCreate(b, s, insert, c.creators, c.owners)
				})
			}
		})
	}
}

// benchCreate uses new owners in each round, so that no owner has many keys to count.
func benchCreate(b *testing.B, s store.Store, insert *sql.Stmt, n, owners int) {
	ctx, prefix := b.Context(), testkit.NewName()
	round := func(name string, create func(store.Record) error) *figure {
		return &figure{name: name, call: func(i int) error {
			errs := make([]error, n)
			together(n, func(g int) {
				errs[g] = create(record(fmt.Sprint(prefix, i, "-", g%owners), fmt.Sprint(prefix, name, i, "-", g)))
			})
			return errors.Join(errs...)
		}}
	}
	creates := round("store", func(r store.Record) error { return s.Insert(ctx, r, 100) })
	bare := round("bare", func(r store.Record) error {
		_, err := insert.ExecContext(ctx, r.Digest[:], r.ID, r.Owner, r.Name, r.Hint, r.CreatedBy, "", "",
			`["a:read"]`, `{"id":"x"}`, r.CreatedAt.UnixMicro())
		return err
	})
	for i := 0; b.Loop(); i++ {
		takeTurns(b, i, creates, bare)
	}
	b.ReportMetric(perSecond(n*len(creates.took), creates.total()), "creates/s")
	b.ReportMetric(perSecond(n*len(bare.took), bare.total()), "bare-inserts/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTouch compares a batch of a thousand uses with one UPDATE of a thousand rows.
func BenchmarkTouch(b *testing.B) {
	const n = 1000
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s, db := filled(b, d)
			update := d.prepare(b, db, "UPDATE keyhatch_keys SET last_used_at = ? WHERE digest IN (?"+strings.Repeat(", ?", n-1)+")")
			ctx := b.Context()
			touch := &figure{name: "store", call: func(i int) error { return s.Touch(ctx, usesOf(i, n)) }}
			bare := &figure{name: "update", call: func(i int) error {
				args := []any{epoch.Add(time.Duration(i) * time.Second).UnixMicro()}
				for _, u := range usesOf(i+1, n) {
					args = append(args, u.Digest[:])
				}
				_, err := update.ExecContext(ctx, args...)
				return err
			}}
			for i := 0; b.Loop(); i++ {
				takeTurns(b, i, touch, bare)
			}
			reportTimes(b, touch, bare)
		})
	}
}

// usesOf returns n uses. The used rows are different for each i.
func usesOf(i, n int) []store.Use {
	us := make([]store.Use, n)
	for k := range us {
		us[k] = store.Use{Digest: filledDigest((i*n + k*7) % benchRows), At: epoch.Add(time.Duration(i) * time.Second)}
	}
	slices.SortFunc(us, func(a, b store.Use) int { return strings.Compare(string(a.Digest[:]), string(b.Digest[:])) })
	return us
}

// BenchmarkCreateAtLimit measures an Insert that the limit refuses, for an owner with few ended
// keys and for an owner with twenty thousand. The count stops at the limit.
func BenchmarkCreateAtLimit(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s, _ := filled(b, d)
			var figures []*figure
			for _, owner := range []string{bigOwner, smallOwner} {
				figures = append(figures, refusal(b.Context(), s, owner))
			}
			for i := 0; b.Loop(); i++ {
				takeTurns(b, i, figures...)
			}
			reportTimes(b, figures...)
		})
	}
}

// refusal creates a key for an owner at the limit of five keys, which must fail.
func refusal(ctx context.Context, s store.Store, owner string) *figure {
	r := record(owner, "one more")
	r.CreatedAt = epoch.AddDate(0, 0, 1)
	return &figure{name: owner, call: func(int) error {
		if err := s.Insert(ctx, r, 5); !errors.Is(err, store.ErrLimit) {
			return fmt.Errorf("got %v, want %v", err, store.ErrLimit)
		}
		return nil
	}}
}
