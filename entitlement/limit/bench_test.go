package limit_test

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/limit"
)

// BenchmarkTake measures a Take beside the floor, which is SHA-256 of a token.
func BenchmarkTake(b *testing.B) {
	ctx := b.Context()
	rules := []limit.Rule{{Name: "burst", Units: 60, Window: time.Minute}, {Name: "hour", Units: limit.MaxUnits, Window: time.Hour}}
	b.Run("floor", func(b *testing.B) {
		token := make([]byte, 48)
		for b.Loop() {
			sha256.Sum256(token)
		}
	})
	for _, rules := range [][]limit.Rule{rules[1:], rules[:1], rules} {
		b.Run(fmt.Sprintf("%d rules, the first of %d units", len(rules), rules[0].Units), func(b *testing.B) {
			b.ReportAllocs()
			l := newLocal(b, nil)
			for b.Loop() {
				_, _ = l.Take(ctx, "o", rules, 1)
			}
		})
	}
	b.Run("many owners", func(b *testing.B) {
		b.ReportAllocs()
		l := newLocal(b, nil)
		owners := make([]string, 10_000)
		for i := range owners {
			owners[i] = fmt.Sprint("owner ", i)
		}
		var goroutines atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for i := int(goroutines.Add(1)) * 5_000; pb.Next(); i++ {
				_, _ = l.Take(ctx, owners[i%len(owners)], rules[1:], 1)
			}
		})
	})
}
