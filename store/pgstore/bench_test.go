package pgstore_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

const rows = 100_000

// fill makes a table of rows, of owners with ten each.
func fill(b *testing.B, dsn, schema string) {
	b.Helper()
	execute(b, dsn, fmt.Sprintf(`INSERT INTO %s.keyhatch_keys
		(digest, id, owner, name, hint, created_by, revoke_reason, replaced_by, scopes, metadata, created_at)
		SELECT sha256(('k' || i)::bytea), 'k' || i, 'o' || i / 10, 'name of k' || i, 'key_ab', 'admin', '', '',
			'["a:read","k' || i || '"]', '{"id":"k' || i || '"}', 1000000 * i::bigint
		FROM generate_series(0, %d) AS i`, schema, rows-1))
	execute(b, dsn, "VACUUM ANALYZE "+schema+".keyhatch_keys")
}

// Lookup beside what it is made of: the same statement, prepared on the only
// connection of pgx. The two take turns, so that a busy machine slows down both.
func BenchmarkLookup(b *testing.B) {
	dsn := shared(b)
	schema := newSchema(b, dsn)
	s := open(b, dsn, &pgstore.Options{Schema: schema})
	fill(b, dsn, schema)
	bare := prepare(b, dsn, schema)
	took := map[string][]time.Duration{}
	measure := func(what string, find func(context.Context, store.Digest) error, d store.Digest) {
		began := time.Now()
		if err := find(b.Context(), d); err != nil {
			b.Fatal(err)
		}
		took[what] = append(took[what], time.Since(began))
	}
	lookup := func(ctx context.Context, d store.Digest) error {
		_, err := s.Lookup(ctx, d)
		return err
	}
	for i := 0; b.Loop(); i++ {
		d := record("o", fmt.Sprint("k", i*7919%rows)).Digest
		measure("bare", bare, d)
		measure("store", lookup, d)
	}
	for what, times := range took {
		slices.Sort(times)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(times[len(times)*p/100].Nanoseconds())/1e3, fmt.Sprintf("%s-p%d-µs", what, p))
		}
	}
	b.ReportMetric(float64(took["store"][b.N/2])/float64(took["bare"][b.N/2]), "times-bare")
}

func prepare(b *testing.B, dsn, schema string) func(context.Context, store.Digest) error {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.WithoutCancel(b.Context())) })
	_, err = conn.Prepare(b.Context(), "find", `SELECT digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
		scopes, metadata, created_at, expires_at, disabled_at, revoked_at, last_used_at FROM `+schema+`.keyhatch_keys WHERE digest = $1`)
	if err != nil {
		b.Fatal(err)
	}
	var r store.Record
	var digest, scopes, metadata []byte
	var created int64
	var expires, disabled, revoked, used *int64
	return func(ctx context.Context, d store.Digest) error {
		return conn.QueryRow(ctx, "find", d[:]).Scan(&digest, &r.ID, &r.Owner, &r.Name, &r.Hint, &r.CreatedBy, &r.RevokeReason,
			&r.ReplacedBy, &scopes, &metadata, &created, &expires, &disabled, &revoked, &used)
	}
}
