package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

// ristretto counts one in 64 uses, with any resolution of the clock.
func TestIsSampled(t *testing.T) {
	t.Parallel()
	for _, tick := range []time.Duration{1, 100, time.Microsecond, time.Millisecond, 15625 * time.Microsecond} {
		sampled := 0
		for n := range time.Duration(64_000) {
			if isSampled(n * tick) {
				sampled++
			}
		}
		if sampled < 900 || sampled > 1_100 {
			t.Errorf("clock ticks of %v: got %d of 64,000 sampled, want about 1,000", tick, sampled)
		}
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
