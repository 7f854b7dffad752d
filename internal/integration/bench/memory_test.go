package bench_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// BenchmarkMemory measures the memory that a cache takes for each key, and the time that a key
// adds to a garbage collection.
func BenchmarkMemory(b *testing.B) {
	n := testkit.Scale(100_000, 1_000_000)
	t := newTable(fmt.Sprintf("What a cached key costs, of %d keys", n), "", "bytes", "ns per GC")
	b.Run("all", func(b *testing.B) {
		tokens := create(newManager(b, nowhere{}, 1_000, apikey.Options{}), n)
		caches := []cacheOf{withKeyhatch("keyhatch", apikey.Options{}), withKeyhatch("keyhatch with plans", apikey.Options{Entitlements: plans()})}
		for _, c := range contenders {
			caches = append(caches, cacheOf{c.name + " by hand", func(tokens []string) (any, func()) { return c.new(tokens, refuse), func() {} }})
		}
		bytes, cycles := make([][]int, len(caches)), make([][]nanoseconds, len(caches))
		inRounds(b, longRounds, func(int) {
			for i, c := range caches {
				size, cycle := c.cost(tokens)
				bytes[i], cycles[i] = append(bytes[i], size/n), append(cycles[i], cycle/nanoseconds(n))
			}
		})
		for i, c := range caches {
			t.row(c.name, median(bytes[i]), median(cycles[i]))
		}
	})
	t.print()
}

// A cacheOf opens a cache that holds the keys of tokens.
type cacheOf struct {
	name string
	open func(tokens []string) (cache any, end func())
}

func withKeyhatch(name string, opts apikey.Options) cacheOf {
	return cacheOf{name, func(tokens []string) (any, func()) {
		m := openManager(newEverywhere(len(tokens)), len(tokens), opts)
		fill(m, tokens)
		return m, func() { m.Close(context.Background()) }
	}}
}

// cost returns the bytes of the cache, and what it adds to a garbage collection.
func (c *cacheOf) cost(tokens []string) (size int, cycle nanoseconds) {
	sizeBefore, cycleBefore := collect()
	cache, end := c.open(tokens)
	size, cycle = collect()
	runtime.KeepAlive(cache)
	end()
	return size - sizeBefore, cycle - cycleBefore
}

// collect runs several garbage collections. It returns the size of the heap after them, and the
// duration of the shortest one.
func collect() (heap int, cycle nanoseconds) {
	shortest := time.Hour
	for range 5 {
		began := time.Now()
		runtime.GC()
		shortest = min(shortest, time.Since(began))
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc), nanoseconds(shortest.Nanoseconds())
}
