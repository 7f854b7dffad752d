package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// A leasingShared grants a lease for every key, and cannot delete. It counts the entries
// that are set.
type leasingShared struct {
	setTakes time.Duration
	sets     atomic.Int64
}

func (s *leasingShared) Get(context.Context, cache.Key) (cache.Item, string, error) {
	return cache.Item{}, "lease", cache.ErrMiss
}

func (s *leasingShared) Set(context.Context, cache.Key, string, cache.Item, time.Duration) error {
	s.sets.Add(1)
	time.Sleep(s.setTakes)
	return nil
}

func (s *leasingShared) Delete(context.Context, ...cache.Key) error { return errDown }

func (s *leasingShared) decode(cache.Key, []byte) (found cache.Loaded[int64], ok bool) {
	return found, false
}

func encoded(v int64) cache.Loaded[int64] {
	return cache.Loaded[int64]{Value: cache.PointerTo(v), Encode: func() ([]byte, error) { return []byte{byte(v)}, nil }}
}

// If a key was changed during its load, and the shared cache could not end the lease, the
// old value is not written there.
func TestOldValueIsNotWrittenToShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leasingShared{}
		c := newCache(t, cache.Options{})
		c.Share(s, s.decode, nil)
		_, _ = c.Load(t.Context(), keyOf(1), func(ctx context.Context) (cache.Loaded[int64], error) {
			unpropagated, err := c.Change(ctx, []cache.Key{keyOf(1)}, nil, func(context.Context) (bool, error) { return true, nil })
			if unpropagated == nil || err != nil {
				t.Errorf("Change that cannot delete: %v, %v, want it unpropagated", unpropagated, err)
			}
			return encoded(1), nil
		})
		if synctest.Wait(); s.sets.Load() != 0 {
			t.Error("the value from before the change was written to the shared cache")
		}
		if _, err := c.Load(t.Context(), keyOf(2), func(context.Context) (cache.Loaded[int64], error) { return encoded(2), nil }); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); s.sets.Load() != 1 {
			t.Error("the value of another key was not written to the shared cache")
		}
	})
}

// Close returns when its context ends, and does not wait for a shared cache that hangs. A
// load that outlasts its LoadTimeout may end at any time; -race checks that it does not
// interfere.
func TestCloseBesideWritesToShared(t *testing.T) {
	for _, tt := range []struct {
		name           string
		load, setTakes time.Duration
		closeAt        time.Duration
		within, want   time.Duration
		err            error
	}{
		{"a write in progress", 0, 300 * time.Millisecond, 0, time.Second, 300 * time.Millisecond, nil},
		{"a context that ends", 0, 300 * time.Millisecond, 0, 20 * time.Millisecond, 20 * time.Millisecond, context.DeadlineExceeded},
		{"a write that hangs", 0, time.Hour, 0, time.Minute, 500 * time.Millisecond, nil},
		{"a late load", 3500 * time.Millisecond, 100 * time.Millisecond, 3550 * time.Millisecond, time.Second, 50 * time.Millisecond, nil},
		{"a later load", 3500 * time.Millisecond, 100 * time.Millisecond, 3400 * time.Millisecond, time.Second, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &leasingShared{setTakes: tt.setTakes}
				c, err := cache.New[int64](cache.Options{})
				if err != nil {
					t.Fatal(err)
				}
				c.Share(s, s.decode, nil)
				go func() {
					_, _ = c.Load(t.Context(), keyOf(1), func(context.Context) (cache.Loaded[int64], error) {
						time.Sleep(tt.load)
						return encoded(1), nil
					})
				}()
				synctest.Wait()
				time.Sleep(tt.closeAt)
				ctx, cancel := context.WithTimeout(t.Context(), tt.within)
				defer cancel()
				began := time.Now()
				err = c.Close(ctx)
				if took := time.Since(began); took != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("Close: %v after %v, want %v after %v", err, took, tt.err, tt.want)
				}
				time.Sleep(2 * time.Hour)
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
