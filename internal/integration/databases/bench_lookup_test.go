package databases_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// BenchmarkLookup compares Lookup with the bare prepared statement, and on PostgreSQL also with
// pgx without database/sql.
func BenchmarkLookup(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s, db := filled(b, d)
			stmt := d.prepare(b, db, plainColumns+"WHERE digest = ?")
			figures := []*figure{storeLookup(b.Context(), s, benchRows), bareLookup(b.Context(), stmt, benchRows)}
			if d.dialect == sqlstore.PostgreSQL {
				schema := testkit.QueryValue[string](b, db, "SELECT current_schema()")
				figures = append(figures, connLookup(b, testkit.SetParam(testkit.UsePostgreSQL(b), "search_path", schema), benchRows))
			}
			takeTurns(b, 0, figures...) // connects and prepares
			for _, f := range figures {
				f.took = nil
			}
			for i := 0; b.Loop(); i++ {
				takeTurns(b, i, figures...)
			}
			reportTimes(b, figures...)
		})
	}
}

// connLookup uses a connection of pgx.
func connLookup(b *testing.B, dsn string, n int) *figure {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.WithoutCancel(b.Context())) })
	if _, err := conn.Prepare(b.Context(), "find", plainColumns+"WHERE digest = $1"); err != nil {
		b.Fatal(err)
	}
	var r plainRow
	return &figure{name: "conn", call: func(i int) error {
		digest := filledDigest((i*7919 + 2) % n)
		return r.scan(conn.QueryRow(b.Context(), "find", digest[:]))
	}}
}

// BenchmarkList compares List with the bare statement, for an owner with very many keys and for
// an owner with a hundred.
func BenchmarkList(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			s, db := filled(b, d)
			stmt := d.prepare(b, db, plainColumns+"WHERE owner = ? ORDER BY created_at DESC, id DESC LIMIT 101")
			for _, owner := range []string{bigOwner, smallOwner} {
				b.Run(owner, func(b *testing.B) {
					ctx := b.Context()
					var r plainRow
					list := &figure{name: "store", call: func(int) error {
						_, err := s.List(ctx, store.Query{Owner: owner})
						return err
					}}
					bare := &figure{name: "stmt", call: func(int) error {
						rows, err := stmt.QueryContext(ctx, owner)
						if err != nil {
							return err
						}
						return r.scanAll(rows)
					}}
					for i := 0; b.Loop(); i++ {
						takeTurns(b, i, list, bare)
					}
					reportTimes(b, list, bare)
				})
			}
		})
	}
}

// BenchmarkFilteredList compares filtered lists with a list of all keys, for two owners. One
// owner has ten thousand keys, which are revoked except for the five oldest. The other owner has
// twenty current keys.
func BenchmarkFilteredList(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			db := d.open(b)
			s := sqlStore(b, d.dialect, db)
			fillRows(b, db, d.dialect, benchRows/2)
			testkit.ExecuteOn(b, db, `UPDATE keyhatch_keys SET revoked_at = CASE WHEN id NOT IN ('k0', 'k5', 'k10', 'k15', 'k20')
				THEN created_at + 1 END, expires_at = NULL WHERE owner = 'big'`)
			fillOwner(b, db, d.dialect, "few", benchRows, 20)
			for _, statement := range filler[d.dialect].after {
				testkit.ExecuteOn(b, db, statement)
			}
			list := func(name, owner string, part store.Filter, want int) *figure {
				q := store.Query{Owner: owner, Filter: part, At: epoch.AddDate(0, 0, 1)}
				return &figure{name: name, call: func(int) error {
					page, err := s.List(b.Context(), q)
					if err == nil && len(page.Records) != want {
						err = fmt.Errorf("got %d records, want %d", len(page.Records), want)
					}
					return err
				}}
			}
			current, ended, all := list("current", bigOwner, store.FilterCurrent, 5), list("ended", bigOwner, store.FilterEnded, 100), list("all", bigOwner, store.FilterAll, 100)
			few := list("few", "few", store.FilterCurrent, 20)
			for i := 0; b.Loop(); i++ {
				takeTurns(b, i, current, ended, all, few)
			}
			reportTimes(b, current, ended, all, few)
		})
	}
}
