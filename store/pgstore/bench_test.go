package pgstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

const rows = 100_000

// fill creates a table of records, ten per owner.
func fill(b *testing.B, dsn, schema string) {
	b.Helper()
	testkit.Execute(b, dsn, fmt.Sprintf(`INSERT INTO %s.keyhatch_keys
		(digest, id, owner, name, hint, created_by, revoke_reason, replaced_by, scopes, metadata, created_at)
		SELECT sha256(('k' || i)::bytea), 'k' || i, 'o' || i / 10, 'name of k' || i, 'key_ab', 'admin', '', '',
			'["a:read","k' || i || '"]', '{"id":"k' || i || '"}', 1000000 * i::bigint
		FROM generate_series(0, %d) AS i`, schema, rows-1))
	testkit.Execute(b, dsn, "VACUUM ANALYZE "+schema+".keyhatch_keys")
}

// BenchmarkLookup compares a look-up with the bare prepared statement on a single pgx connection.
// The two alternate, so that load on the machine slows both.
func BenchmarkLookup(b *testing.B) {
	dsn := testkit.UsePostgreSQL(b)
	schema := testkit.CreateSchema(b, dsn)
	s := open(b, dsn, &pgstore.Options{Schema: schema})
	fill(b, dsn, schema)
	find := prepare(b, dsn, schema)
	times := took{}
	for i := 0; b.Loop(); i++ {
		d := record("o", fmt.Sprint("k", i*7919%rows)).Digest
		times.measure(b, "bare", func() error { return find(b.Context(), d) })
		times.measure(b, "store", func() error {
			_, err := s.Lookup(b.Context(), d)
			return err
		})
	}
	times.report(b)
	b.ReportMetric(float64(times["store"][b.N/2])/float64(times["bare"][b.N/2]), "times-bare")
}

func prepare(b *testing.B, dsn, schema string) func(context.Context, store.Digest) error {
	b.Helper()
	conn := bare(b, dsn)
	_, err := conn.Prepare(b.Context(), "find", `SELECT digest, id, owner, name, hint, created_by, revoke_reason, replaced_by,
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
