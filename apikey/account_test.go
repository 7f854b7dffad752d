package apikey

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// BenchmarkAccount measures the parts of a validation that finds its key in the cache. Their sum
// accounts for the time of the whole. It ignores b.N and makes the same number of calls in each run.
func BenchmarkAccount(b *testing.B) {
	m, err := New(memstore.New(), &Options{CacheTTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { m.Close(context.Background()) })
	issued, err := m.Create(b.Context(), CreateParams{Owner: "o", Name: "n"})
	if err != nil {
		b.Fatal(err)
	}
	token, ctx := issued.Secret.Reveal(), b.Context()
	if _, err := m.Validate(ctx, token); err != nil {
		b.Fatal(err)
	}
	bytes, d, at := []byte(token), DigestOf(token), m.clock.Now()
	var (
		digest store.Digest
		formed bool
		now    cache.Time
		key    *cachedKey
		p      *Principal
	)
	parts := []struct {
		name string
		do   func()
	}{
		{"Validate", func() { p, _ = m.Validate(ctx, token) }},
		{"SHA-256 of the token, the floor", func() { digest = sha256.Sum256(bytes) }},
		{"digest, with a copy of the token on the stack", func() { digest = DigestOf(token) }},
		{"form of the token", func() { formed = m.token.wellFormed(token) }},
		{"clock", func() { now = m.clock.Now() }},
		{"cache: find the entry, compare key, epochs, lease and deadlines", func() { key, _ = m.keys.Get(cache.Key(d), at) }},
		{"decision: status, expiry, last use", func() { p, _ = m.decide(ctx, at, d, key) }},
	}
	times := make([][]float64, len(parts))
	for range 7 {
		for i, part := range parts {
			const calls = 200_000
			began := time.Now()
			for range calls {
				part.do()
			}
			times[i] = append(times[i], float64(time.Since(began).Nanoseconds())/calls)
		}
	}
	if p == nil || !formed || digest != d || now.UnixMicro() == 0 {
		b.Fatal("a part does not work")
	}
	sum, text := 0.0, "median ns of 7 rounds\n"
	for i, part := range parts {
		slices.Sort(times[i])
		median := times[i][len(times[i])/2]
		if i >= 2 { // a part of Validate: neither Validate itself nor the floor
			sum += median
		}
		text += fmt.Sprintf("%6.1f  %s\n", median, part.name)
	}
	if b.N == 1 {
		fmt.Printf("%s%6.1f  sum of the last five\n", text, sum)
	}
	b.ReportMetric(0, "ns/op")
}
