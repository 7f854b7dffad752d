package cache

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// keyOfNumber returns a key whose bytes look random.
func keyOfNumber(n uint64) (k Key) {
	r := rand.New(rand.NewPCG(n, 1))
	for i := 0; i < len(k); i += 8 {
		binary.LittleEndian.PutUint64(k[i:], r.Uint64())
	}
	return k
}

// A lookup reports whether a cache has a key, and adds the key if not.
type lookup func(n uint64) bool

func tableLookup(t testing.TB, size int) lookup {
	var tab table[int]
	if err := tab.open(size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.close(t.Context()) })
	elapsed := time.Duration(0)
	return func(n uint64) bool {
		key := keyOfNumber(n)
		elapsed++
		if tab.get(&key, elapsed) != nil {
			return true
		}
		tab.put(&entry[int]{key: key})
		return false
	}
}

func ristrettoLookup(t testing.TB, size int) lookup {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, bool]{NumCounters: 10 * int64(size), MaxCost: int64(size), BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return func(n uint64) bool {
		if _, ok := c.Get(n); ok {
			return true
		}
		c.Set(n, true, 1)
		return false
	}
}

func lruLookup(_ testing.TB, size int) lookup {
	order, where := list.New(), map[uint64]*list.Element{}
	return func(n uint64) bool {
		if e, ok := where[n]; ok {
			order.MoveToFront(e)
			return true
		}
		if where[n] = order.PushFront(n); order.Len() > size {
			last := order.Back()
			delete(where, order.Remove(last).(uint64))
		}
		return false
	}
}

// BenchmarkHitRate compares the hit rates of the table, of ristretto alone and of an LRU.
func BenchmarkHitRate(b *testing.B) {
	const keys = 100_000
	zipf := func(s float64) func() func() uint64 {
		return func() func() uint64 {
			r := rand.New(rand.NewPCG(1, 2))
			z := rand.NewZipf(r, s, 1, keys-1)
			return z.Uint64
		}
	}
	scan := func() func() uint64 {
		r, n, next := rand.New(rand.NewPCG(1, 2)), 0, uint64(keys)
		return func() uint64 {
			if n++; n%10_000 < 3_000 {
				next++
				return next
			}
			return r.Uint64N(keys / 20)
		}
	}
	loop := func() func() uint64 {
		n := uint64(0)
		return func() uint64 { n++; return n % (keys / 8) }
	}
	full := func(size int) func() func() uint64 {
		return func() func() uint64 {
			n := uint64(0)
			return func() uint64 { n++; return n % uint64(size) }
		}
	}
	for _, trace := range []struct {
		name string
		size int
		new  func() func() uint64
	}{
		{"zipf 1.01, 1 %", keys / 100, zipf(1.01)}, {"zipf 1.01, 10 %", keys / 10, zipf(1.01)},
		{"zipf 1.1, 1 %", keys / 100, zipf(1.1)}, {"zipf 1.1, 10 %", keys / 10, zipf(1.1)},
		{"scan through a hot set", keys / 10, scan}, {"loop", keys / 10, loop}, {"full", keys / 10, full(keys / 10)},
	} {
		for _, c := range []struct {
			name string
			new  func(testing.TB, int) lookup
		}{{"table", tableLookup}, {"ristretto", ristrettoLookup}, {"LRU", lruLookup}} {
			b.Run(fmt.Sprint(trace.name, "/", c.name), func(b *testing.B) {
				const accesses = 1_000_000
				for range b.N {
					look, next, hits := c.new(b, trace.size), trace.new(), 0
					for i := range accesses {
						if look(next()) && i > accesses/2 {
							hits++
						}
						if i%100 == 0 {
							time.Sleep(0)
						}
					}
					b.ReportMetric(200*float64(hits)/accesses, "%hits")
				}
			})
		}
	}
}
