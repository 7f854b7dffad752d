package bench_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/maypok86/otter/v2"
)

// A lookup reports whether a cache has a key. It adds the key if not.
type lookup func(key cache.Key) (hit bool)

// A trace is a sequence of keys that a cache of the given size looks up.
type trace struct {
	name string
	size int
	keys []uint64
}

// population is the number of keys in the zipf traces. The sizes of the caches are parts of it.
const population = 50_000

// accesses is the length of a trace.
const accesses = 300_000

func traces() (all []trace) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, exponent := range []float64{0.9, 1.1} {
		keys := zipf(r, exponent)
		all = append(all,
			trace{fmt.Sprintf("zipf %.1f, size 1 %%", exponent), population / 100, keys},
			trace{fmt.Sprintf("zipf %.1f, size 10 %%", exponent), population / 10, keys})
	}
	const size = population / 10
	var scan, loop, full []uint64
	for i := range uint64(accesses) {
		key := r.Uint64N(size / 2)
		if i%10_000 < 3_000 { // the scan never returns to a key
			key = population + i
		}
		scan = append(scan, key)
		loop = append(loop, i%(size*5/4))
		full = append(full, i%size)
	}
	return append(all, trace{"scan through a hot set", size, scan}, trace{"loop of size * 5/4", size, loop}, trace{"full", size, full})
}

// zipf returns random keys. The frequency of key n is in proportion to (n+1)^-exponent.
// rand.Zipf needs an exponent above 1.
func zipf(r *rand.Rand, exponent float64) (keys []uint64) {
	sums, sum := make([]float64, population), 0.0
	for n := range sums {
		sum += math.Pow(float64(n+1), -exponent)
		sums[n] = sum
	}
	for range accesses {
		keys = append(keys, uint64(sort.SearchFloat64s(sums, r.Float64()*sum)))
	}
	return keys
}

var caches = []struct {
	name string
	new  func(b *testing.B, size int) (lookup, error)
}{
	{"keyhatch", newCache}, {"ristretto", newRistretto}, {"LRU", newLRU}, {"otter", newOtter},
}

// BenchmarkHitRate compares hit rates and prints a table. The caches warm up in the first
// half of a trace, and the second half counts.
func BenchmarkHitRate(b *testing.B) {
	// With one processor, yielding to the goroutines of a cache waits for their decisions.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for b.Loop() {
		var table strings.Builder
		fmt.Fprintf(&table, "hits in per cent\n%24s", "")
		for _, c := range caches {
			fmt.Fprintf(&table, " %10s", c.name)
		}
		for _, trace := range traces() {
			fmt.Fprintf(&table, "\n%24s", trace.name)
			for _, c := range caches {
				find, err := c.new(b, trace.size)
				if err != nil {
					b.Fatal(err)
				}
				fmt.Fprintf(&table, " %10.1f", hitRate(find, trace.keys))
			}
		}
		fmt.Println(table.String())
	}
}

// hitRate returns the hits in per cent.
func hitRate(find lookup, keys []uint64) float64 {
	hits := 0
	for i, key := range keys {
		if find(keyOf(key)) && i >= len(keys)/2 {
			hits++
		}
		runtime.Gosched()
	}
	return 200 * float64(hits) / float64(len(keys))
}

func newCache(b *testing.B, size int) (lookup, error) {
	clock := cache.NewClock()
	c, err := cache.New[bool](cache.Options{Size: size, Clock: clock})
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { c.Close(context.Background()) })
	load := func(context.Context) (cache.Loaded[bool], error) { return cache.Loaded[bool]{Value: new(bool)}, nil }
	return func(key cache.Key) bool {
		_, err := c.Get(key, clock.Now())
		if errors.Is(err, cache.ErrMiss) {
			if _, err := c.Load(b.Context(), key, load); err != nil {
				b.Fatal(err)
			}
			return false
		}
		if err != nil {
			b.Fatal(err)
		}
		return true
	}, nil
}

// keyOf returns a key whose bytes look random.
func keyOf(n uint64) (key cache.Key) {
	r := rand.NewPCG(n, 1)
	for i := 0; i < len(key); i += 8 {
		binary.LittleEndian.PutUint64(key[i:], r.Uint64())
	}
	return key
}

func newRistretto(b *testing.B, size int) (lookup, error) {
	c, err := ristretto.NewCache(&ristretto.Config[[]byte, bool]{
		NumCounters: 10 * int64(size), MaxCost: int64(size), BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, err
	}
	b.Cleanup(c.Close)
	return func(key cache.Key) bool {
		if _, ok := c.Get(key[:]); ok {
			return true
		}
		c.Set(key[:], true, 1)
		c.Wait()
		return false
	}, nil
}

func newLRU(_ *testing.B, size int) (lookup, error) {
	c, err := simplelru.NewLRU[cache.Key, bool](size, nil)
	return func(key cache.Key) bool {
		if _, ok := c.Get(key); ok {
			return true
		}
		c.Add(key, true)
		return false
	}, err
}

func newOtter(_ *testing.B, size int) (lookup, error) {
	c, err := otter.New(&otter.Options[cache.Key, bool]{MaximumSize: size, Executor: func(work func()) { work() }})
	return func(key cache.Key) bool {
		if _, ok := c.GetIfPresent(key); ok {
			return true
		}
		c.Set(key, true)
		return false
	}, err
}
