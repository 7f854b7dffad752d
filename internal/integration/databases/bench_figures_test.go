package databases_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A figure holds the durations of calls of one kind.
type figure struct {
	name string
	call func(i int) error
	took []time.Duration
}

// takeTurns makes call i of each kind, so that a busy machine slows down all kinds. The order
// changes each time, since a call may find the data of the previous one in a cache.
func takeTurns(t testing.TB, i int, figures ...*figure) {
	t.Helper()
	for n := range figures {
		f := figures[(i+n)%len(figures)]
		began := time.Now()
		err := f.call(i)
		f.took = append(f.took, time.Since(began))
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
}

func (f *figure) percentile(p int) time.Duration { return testkit.Percentile(f.took, p) }

func (f *figure) total() (sum time.Duration) {
	for _, d := range f.took {
		sum += d
	}
	return sum
}

// reportTimes reports the percentiles of each figure, and the ratio of the first figure to each
// other figure.
func reportTimes(b *testing.B, figures ...*figure) {
	b.Helper()
	for _, f := range figures {
		for _, p := range []int{50, 99} {
			b.ReportMetric(micro(f.percentile(p)), fmt.Sprintf("%s-p%d-µs", f.name, p))
		}
	}
	for _, f := range figures[1:] {
		b.ReportMetric(times(figures[0].percentile(50), f.percentile(50)), "times-"+f.name)
	}
	b.ReportMetric(0, "ns/op") // the time of all kinds together has no meaning
}

func micro(d time.Duration) float64            { return float64(d.Nanoseconds()) / 1e3 }
func times(d, floor time.Duration) float64     { return float64(d) / float64(floor) }
func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

// benchRows is the number of rows. The servers that the tests start do not wait for the disk, so
// their figures do not include the time of the disk. The figures of SQLite include it.
const benchRows = 100_000

// filled returns a Store on a table of many rows.
func filled(b *testing.B, d database) (*sqlstore.Store, *sql.DB) {
	b.Helper()
	db := d.open(b)
	s := sqlStore(b, d.dialect, db)
	fillRows(b, db, d.dialect, benchRows)
	return s, db
}

// The columns of a record, as plain variables.
type plainRow struct {
	digest                                       []byte
	id, owner, name, hint, by, reason, replaced  string
	scopes, metadata                             []byte
	created, expires, disabled, revoked, lastUse *int64
}

const plainColumns = `SELECT digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
	scopes, metadata, created_at, expires_at, disabled_at, revoked_at, last_used_at FROM keyhatch_keys `

func (r *plainRow) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&r.digest, &r.id, &r.owner, &r.name, &r.hint, &r.by, &r.reason, &r.replaced,
		&r.scopes, &r.metadata, &r.created, &r.expires, &r.disabled, &r.revoked, &r.lastUse)
}

func (r *plainRow) scanAll(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		if err := r.scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// text returns a statement with the placeholders of the database.
func (d database) text(statement string) string {
	if d.dialect != sqlstore.PostgreSQL {
		return statement
	}
	var b strings.Builder
	for i, part := range strings.Split(statement, "?") {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
	}
	return b.String()
}

func (d database) prepare(t testing.TB, db *sql.DB, statement string) *sql.Stmt {
	t.Helper()
	stmt, err := db.PrepareContext(t.Context(), d.text(statement))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stmt.Close() })
	return stmt
}

// storeLookup and bareLookup look up one of n rows, each time another one.
func storeLookup(ctx context.Context, s store.Store, n int) *figure {
	return &figure{name: "store", call: func(i int) error {
		_, err := s.Lookup(ctx, filledDigest(i*7919%n))
		return err
	}}
}

func bareLookup(ctx context.Context, stmt *sql.Stmt, n int) *figure {
	var r plainRow
	return &figure{name: "stmt", call: func(i int) error {
		digest := filledDigest((i*7919 + 1) % n)
		return r.scan(stmt.QueryRowContext(ctx, digest[:]))
	}}
}
