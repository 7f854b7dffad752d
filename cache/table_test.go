package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// After close has returned, no caller is inside the gate and none can enter: ristretto's
// Close panics during any other call.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		var first, second Key
		second[17] = 1 // another counter
		if !g.enter(&first) || !g.enter(&second) {
			t.Fatal("enter returned false although the gate was open")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with two callers inside: got %v, want DeadlineExceeded", err)
		}
		if g.enter(&first) {
			t.Error("enter returned true although the gate was closing")
			g.leave(&first)
		}
		var closed atomic.Bool
		go func() {
			if err := g.close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			closed.Store(true)
		}()
		for _, key := range []*Key{&first, &second} {
			time.Sleep(time.Second)
			if closed.Load() {
				t.Error("close returned although a caller was inside")
			}
			g.leave(key)
		}
		time.Sleep(time.Second)
		if !closed.Load() {
			t.Error("close did not return although all callers had left")
		}
		if g.enter(&second) {
			t.Error("enter returned true although the gate was closed")
		}
	})
}

// An entry that was loaded before the key's epoch advanced does not replace a later one.
func TestOlderEntryReplacesNothing(t *testing.T) {
	var tab table[int]
	if err := tab.open(10); err != nil {
		t.Fatal(err)
	}
	for _, absent := range []bool{false, true} {
		for _, other := range []bool{false, true} {
			key := Key{byte(len(t.Name()))}
			newer := &entry[int]{key: key, epoch: 4 * oneVersion, absent: absent}
			older := &entry[int]{key: key, epoch: 2 * oneVersion, absent: other}
			if !tab.put(newer) || tab.put(older) || tab.find(&key) != newer {
				t.Errorf("absent = %t and %t: an older entry has replaced a newer one", absent, other)
			}
			newest := &entry[int]{key: key, epoch: 4 * oneVersion, absent: other}
			if !tab.put(newest) || tab.find(&key) != newest {
				t.Errorf("absent = %t and %t: got %p, want the entry that was put last", absent, other, tab.find(&key))
			}
			tab.present.remove(newest)
			tab.absent.remove(newest)
		}
	}
	if err := tab.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// keyOfNumber returns a key whose bytes look random.
func keyOfNumber(n uint64) (k Key) {
	r := rand.New(rand.NewPCG(n, 1))
	for i := 0; i < len(k); i += 8 {
		binary.LittleEndian.PutUint64(k[i:], r.Uint64())
	}
	return k
}

// putNumbers puts entries of the numbered keys, as fast as possible.
func putNumbers(tab *table[int], from, to uint64) {
	for n := from; n < to; n++ {
		tab.put(&entry[int]{key: keyOfNumber(n)})
	}
}

// countNumbers returns how many of the numbered keys have an entry.
func countNumbers(tab *table[int], from, to uint64) (found int) {
	for n := from; n < to; n++ {
		if key := keyOfNumber(n); tab.find(&key) != nil {
			found++
		}
	}
	return found
}

func openTable(t *testing.T, size int) *table[int] {
	t.Helper()
	var tab table[int]
	if err := tab.open(size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tab.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return &tab
}

// A table of N entries serves N keys, and holds hardly more, even if ristretto has not yet
// decided about them.
func TestTableKeepsItsSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 10_000} {
		full := openTable(t, size)
		for n := uint64(0); n < uint64(size); n += 100 {
			putNumbers(full, n, n+100)
			full.policy.Wait()
		}
		if got := countNumbers(full, 0, uint64(size)); got < size*995/1000 {
			t.Errorf("size %d: got %d of the keys, want at least 99.5 %%", size, got)
		}
		burst := openTable(t, size)
		putNumbers(burst, 0, uint64(4*size))
		if got := countNumbers(burst, 0, uint64(4*size)); got > size+size/8 {
			t.Errorf("size %d: got %d entries after a burst, want at most %d", size, got, size+size/8)
		}
		burst.policy.Wait()
		if got := countNumbers(burst, 0, uint64(4*size)); got > size+size/8 || got < size/2 {
			t.Errorf("size %d: got %d entries in the end, want about the size", size, got)
		}
	}
}

// Of two quick puts of a key, the second stays.
func TestQuickPuts(t *testing.T) {
	t.Parallel()
	tab := openTable(t, 1_000)
	for n := range uint64(500) {
		first, second := &entry[int]{key: keyOfNumber(n)}, &entry[int]{key: keyOfNumber(n)}
		tab.put(first)
		tab.put(second)
		tab.policy.Wait()
		if got := tab.find(&second.key); got != second {
			t.Fatalf("key %d: got %p, want the second entry %p", n, got, second)
		}
	}
}

// Keys with the same tag in the same buckets are distinguished.
func TestTagsCollide(t *testing.T) {
	t.Parallel()
	tab := openTable(t, 100)
	one, other := keyOfNumber(1), keyOfNumber(1)
	other[31]++
	e := &entry[int]{key: one}
	tab.put(e)
	if tab.find(&one) != e || tab.find(&other) != nil {
		t.Errorf("got %p and %p, want %p and nil", tab.find(&one), tab.find(&other), e)
	}
}

// The table keeps the entries that are used most.
func TestHitRate(t *testing.T) {
	t.Parallel()
	if testkit.Race {
		t.Skip("ristretto collects uses in a sync.Pool, which drops most of them under the race detector")
	}
	const size, accesses = 1_000, 100_000
	for _, trace := range []struct {
		name string
		key  func(i uint64) uint64
		want float64 // in the second half
	}{
		{"scan", func(i uint64) uint64 { // three in ten are keys of the scan
			if i%10 < 3 {
				return size + i
			}
			return i * 7919 % (size / 2)
		}, 0.69},
		{"loop", func(i uint64) uint64 { return i % (size * 5 / 4) }, 0.75},
		// In the middle, other keys come into use.
		{"change", func(i uint64) uint64 { return i%(size*5/4) + i/(accesses/2)*2*size }, 0.55},
		{"full", func(i uint64) uint64 { return i % size }, 0.995},
	} {
		synctest.Test(t, func(t *testing.T) {
			tab, hits := openTable(t, size), 0
			for i := range uint64(accesses) {
				key := keyOfNumber(trace.key(i))
				if tab.get(&key) == nil {
					tab.put(&entry[int]{key: key})
				} else if i >= accesses/2 {
					hits++
				}
				synctest.Wait() // ristretto counts and decides
			}
			if rate := 2 * float64(hits) / accesses; rate < trace.want {
				t.Errorf("%s: got a hit rate of %.3f, want at least %.3f", trace.name, rate, trace.want)
			}
		})
	}
}

// ristretto counts few hits of an entry, and none before it has to decide between entries.
func TestCountedHits(t *testing.T) {
	t.Parallel()
	tab, e := openTable(t, 100), &entry[int]{key: keyOfNumber(1)}
	tab.put(e)
	for _, want := range []uint32{0, countedHits} {
		for range 100 {
			tab.get(&e.key)
		}
		if got := e.counted.Load(); got != want {
			t.Errorf("got %d of 100 hits counted, want %d", got, want)
		}
		tab.decided()
	}
}

// An entry that ristretto does not take is not kept, since nothing would evict it.
func TestEntryThatRistrettoDrops(t *testing.T) {
	t.Parallel()
	tab := openTable(t, 100)
	tab.policy.Close() // from now on, it drops everything
	e := &entry[int]{key: keyOfNumber(1)}
	if tab.put(e) || tab.find(&e.key) != nil || tab.present.used.Load() != 0 {
		t.Error("an entry that ristretto has dropped is kept")
	}
}

// A key has one entry, even if the fingerprint of its slot is not set yet.
func TestPutBeforeTheFingerprintIsSet(t *testing.T) {
	t.Parallel()
	for _, absent := range []bool{false, true} {
		tab := openTable(t, 100)
		first, second := &entry[int]{key: keyOfNumber(1)}, &entry[int]{key: keyOfNumber(1), absent: absent}
		tab.put(first)
		_, b, _ := tab.present.search(&first.key)
		b.fingerprints.Store(0) // as if the writer of the slot had stopped before it sets the fingerprint
		tab.put(second)
		if n := tab.present.used.Load() + tab.absent.used.Load(); n != 1 || tab.find(&first.key) != second {
			t.Errorf("absent = %t: got %d entries and %p, want the second one, %p", absent, n, tab.find(&first.key), second)
		}
	}
}
