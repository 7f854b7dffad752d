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

// A truth is what a store holds for one key: a number that only grows. Those
// that three divides stand for no value.
type truth struct {
	key     cache.Key
	stored  atomic.Uint64
	deleted atomic.Uint64 // the number that the last Delete to return had followed
}

func (v *truth) item() cache.Item {
	n := v.stored.Load()
	return cache.Item{Value: binary.BigEndian.AppendUint64(nil, n), Absent: n%3 == 0}
}

// levelRace changes a key hundreds of times, while instances fill it with what
// they find.
func levelRace(t *testing.T, one, other cache.Level) {
	v := &truth{key: newKey()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		wg.Go(func() { errs <- v.fill(t, ctx, []cache.Level{one, other}[i%2]) })
	}
	for round := range 600 {
		v.change(t, []cache.Level{other, one}[round%2])
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
	stop()
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatalf("calls at once: %v", err)
		}
	}
}

// change stores the next number and deletes the key, as a service does that
// changes a record.
func (v *truth) change(t *testing.T, l cache.Level) {
	t.Helper()
	n := v.stored.Add(1)
	forget(t, l, v.key)
	v.deleted.Store(n)
}

// fill gets the key over and over and sets what the store holds where it
// misses, some time after it has looked. It fails where it sees what a Delete
// that had returned before was to end.
func (v *truth) fill(t *testing.T, ctx context.Context, l cache.Level) error {
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
			t.Errorf("once Delete has returned, no Get returns what was there before: it followed number %d, got that there is no value", least)
			return nil
		case item.Absent:
		case len(item.Value) != 8 || binary.BigEndian.Uint64(item.Value) < least:
			t.Errorf("once Delete has returned, no Get returns what was there before: it followed number %d, got %x", least, item.Value)
			return nil
		}
	}
	return nil
}
