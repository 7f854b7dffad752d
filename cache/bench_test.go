package cache_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1, 1_000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			c := newCache(b, cache.Options{TTL: time.Hour})
			var calls atomic.Int64
			keys := make([]cache.Key, n)
			for i := range keys {
				keys[i] = keyOf(i)
				_, _ = c.Load(b.Context(), keys[i], found(1, &calls))
				if i%1_000 == 0 {
					time.Sleep(time.Millisecond) // ristretto drops bursts
				}
			}
			now := time.Now()
			missed, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Get(keys[i*7919%n], c.At(now.Add(time.Duration(i)))); err != nil {
					missed++
				}
				i++
			}
			b.ReportMetric(100*float64(missed)/float64(i), "%missed")
		})
	}
}

// BenchmarkBytes shows what an entry costs with a value of 8 bytes. Once is
// enough, so there is no loop.
func BenchmarkBytes(b *testing.B) {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCache(b, cache.Options{Size: n, TTL: time.Hour})
	var calls atomic.Int64
	for i := range n {
		_, _ = c.Load(b.Context(), keyOf(i), found(1, &calls))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/entry")
	b.ReportMetric(0, "ns/op")
}
