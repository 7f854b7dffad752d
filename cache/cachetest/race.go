package cachetest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A truth holds a store's value for one key: a number that only grows. A number
// that is divisible by three stands for no value.
type truth struct {
	key     cache.Key
	stored  atomic.Uint64
	deleted atomic.Uint64 // the number stored before the last Delete that has returned
}

func (v *truth) item() cache.Item {
	n := v.stored.Load()
	return cache.Item{Value: binary.BigEndian.AppendUint64(nil, n), Absent: n%3 == 0}
}

// sharedRace changes a key hundreds of times, while instances fill it with the
// values that they have read.
func sharedRace(t *testing.T, one, other cache.Shared) {
	v := &truth{key: newKey()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		wg.Go(func() { errs <- v.fill(t, ctx, []cache.Shared{one, other}[i%2]) })
	}
	for round := range 600 {
		v.change(t, []cache.Shared{other, one}[round%2])
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
	stop()
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatalf("concurrent calls: %v", err)
		}
	}
}

// change stores the next number and deletes the key, like a service that changes a
// record.
func (v *truth) change(t *testing.T, l cache.Shared) {
	t.Helper()
	n := v.stored.Add(1)
	deleteKeys(t, l, v.key)
	v.deleted.Store(n)
}

// fill repeatedly gets the key. After a miss it sets the stored value, some time
// after reading it. It fails if Get returns a value from before a Delete that had
// returned earlier.
func (v *truth) fill(t *testing.T, ctx context.Context, l cache.Shared) error {
	for ctx.Err() == nil {
		least := v.deleted.Load()
		item, lease, err := l.Get(t.Context(), v.key)
		switch {
		case err == cache.ErrMiss:
			found := v.item()
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			if err := l.Set(t.Context(), v.key, lease, found, long); err != nil {
				return err
			}
		case err != nil:
			return err
		case item.Absent && v.stored.Load()/3*3 < least:
			t.Errorf("after Delete has returned, Get must not return an older entry: want number %d or later, got an absent entry", least)
			return nil
		case item.Absent:
		case len(item.Value) != 8 || binary.BigEndian.Uint64(item.Value) < least:
			t.Errorf("after Delete has returned, Get must not return an older entry: want number %d or later, got %x", least, item.Value)
			return nil
		}
	}
	return nil
}
