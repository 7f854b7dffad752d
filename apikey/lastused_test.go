package apikey_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// sortedTouches fails the test if a batch breaks the contract of Store.Touch.
func sortedTouches(t *testing.T, s store.Store, batches *atomic.Int64) store.Store {
	return &touchStore{Store: s, check: func(uses []store.Use) {
		batches.Add(1)
		for i := 1; i < len(uses); i++ {
			if string(uses[i-1].Digest[:]) >= string(uses[i].Digest[:]) {
				t.Error("a batch of uses is not sorted by digest, or has one twice")
			}
		}
	}}
}

type touchStore struct {
	store.Store
	check func([]store.Use)
}

func (s *touchStore) Touch(ctx context.Context, uses []store.Use) error {
	s.check(uses)
	return s.Store.Touch(ctx, uses)
}

// a use is in the store after at most 10 s, so a process that is killed loses at most the
// uses of the last 10 s.
func TestLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches atomic.Int64
		m := newManager(t, sortedTouches(t, memstore.New(), &batches), &apikey.Options{MaxKeysPerOwner: -1})
		lastUsed := func(i apikey.Issued) time.Time {
			k, err := m.Get(t.Context(), "o", i.Key.ID)
			if err != nil {
				t.Fatal(err)
			}
			return k.LastUsedAt
		}
		a, b := create(t, m, "o"), create(t, m, "o")
		for range 30 {
			wantValid(t, m, a)
			wantValid(t, m, b)
		}
		used := time.Now()
		if at := lastUsed(a); !at.IsZero() {
			t.Errorf("last used before the first flush: got %v, want zero", at)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, i := range []apikey.Issued{a, b} {
			if at := lastUsed(i); !at.Equal(used) {
				t.Errorf("last used: got %v, want %v", at, used)
			}
		}
		if batches.Load() != 1 {
			t.Errorf("batches for 60 uses of two keys: got %d, want 1", batches.Load())
		}
		// Within TouchInterval nothing is written. After it there is one more
		// batch, although the cache has evicted the key.
		for range 4 {
			time.Sleep(70 * time.Second)
			wantValid(t, m, a)
		}
		if at := lastUsed(a); !at.Equal(used) || batches.Load() != 1 {
			t.Errorf("written again within TouchInterval: %v in %d batches", at, batches.Load())
		}
		time.Sleep(21 * time.Second)
		wantValid(t, m, a)
		used = time.Now()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if at := lastUsed(a); !at.Equal(used) || batches.Load() != 2 {
			t.Errorf("after TouchInterval: got %v in %d batches, want %v in 2", at, batches.Load(), used)
		}
	})
}

// A refused validation is not a use of the key.
func TestRefusedIsNotUsed(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	issued, yes := create(t, m, "o"), true
	if _, err := m.Update(t.Context(), "o", issued.Key.ID, apikey.UpdateParams{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m, issued, apikey.ErrDisabled)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k, err := m.Get(t.Context(), "o", issued.Key.ID); err != nil || !k.LastUsedAt.IsZero() {
		t.Errorf("last use of a refused key: got %v, %v, want none", k.LastUsedAt, err)
	}
}

// R-06, invariant 14: Close writes all waiting uses, even after the store has failed, and
// may be called again.
func TestCloseFlushesLastUsed(t *testing.T) {
	n := testkit.Trials(5_000, 100_000)
	var down atomic.Bool
	var batches atomic.Int64
	st := &spyStore{Store: sortedTouches(t, memstore.New(), &batches), before: func(op string) error {
		if op == "Touch" && down.Load() {
			return errDown
		}
		return nil
	}}
	m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
	issued := make([]apikey.Issued, n)
	for i := range issued {
		issued[i] = create(t, m, "o")
		wantValid(t, m, issued[i])
	}
	down.Store(true)
	if err := m.Close(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Close with a failing store: got %v, want ErrUnavailable", err)
	}
	down.Store(false)
	began := time.Now()
	for range 2 {
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Logf("flushed %d uses in %v, %d batches", n, time.Since(began), batches.Load())
	for _, i := range issued {
		r, err := st.Store.Lookup(t.Context(), apikey.DigestOf(i.Secret.Reveal()))
		if err != nil || r.LastUsedAt.IsZero() {
			t.Fatalf("Close lost a last-used time: %v, %v", r.LastUsedAt, err)
		}
	}
	wantValid(t, m, issued[0]) // after Close, Validate reads the store
}

// A Touch that hangs or panics does not delay validations.
func TestBrokenTouch(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"panic", func() { panic("boom") }},
		{"hang", func() { time.Sleep(time.Minute) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				m := newManager(t, &touchStore{Store: memstore.New(), check: func([]store.Use) {
					if broken.Load() {
						tt.do()
					}
				}}, nil)
				issued := create(t, m, "o")
				wantValid(t, m, issued)
				used := time.Now()
				time.Sleep(15 * time.Second)
				before := time.Now()
				wantValid(t, m, issued)
				if waited := time.Since(before); waited > 0 {
					t.Errorf("a validation waited %v for the last-used times", waited)
				}
				broken.Store(false)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if k, err := m.Get(t.Context(), "o", issued.Key.ID); err != nil || k.LastUsedAt.Before(used) {
					t.Errorf("last used: got %v, %v, want the use written once the store works again", k.LastUsedAt, err)
				}
			})
		})
	}
}

// C-08: the number of waiting uses is bounded.
func TestWaitingUsesAreBounded(t *testing.T) {
	if got := apikey.WaitingUses(apikey.MaxShardUses + 10); got != apikey.MaxShardUses || got*apikey.UseShards != 262_144 {
		t.Errorf("waiting uses in one of %d shards: got %d, want %d, which is 262,144 in all", apikey.UseShards, got, apikey.MaxShardUses)
	}
}

// Several uses of a key are one use in a batch.
func TestUsesOfOneKeyAreOne(t *testing.T) {
	var batches atomic.Int64
	m := newManager(t, sortedTouches(t, memstore.New(), &batches), &apikey.Options{TouchInterval: time.Millisecond})
	issued := create(t, m, "o")
	for range 20 {
		wantValid(t, m, issued)
		time.Sleep(2 * time.Millisecond)
	}
	if err := m.Close(t.Context()); err != nil || batches.Load() != 1 {
		t.Errorf("Close: got %v after %d batches, want no error after one", err, batches.Load())
	}
}

// A batch that the store never accepts does not delay the others.
func TestOneBadBatch(t *testing.T) {
	var taken atomic.Int64
	first := atomic.Bool{}
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		if op != "Touch" {
			return nil
		}
		if first.CompareAndSwap(false, true) {
			return errDown
		}
		taken.Add(1)
		return nil
	}}
	m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
	for range 2_500 {
		wantValid(t, m, create(t, m, "o"))
	}
	if err := m.Close(t.Context()); !errors.Is(err, apikey.ErrUnavailable) || taken.Load() != 2 {
		t.Errorf("Close: got %v with %d of 3 batches written, want ErrUnavailable and 2", err, taken.Load())
	}
}

// Invariant 5: a use shortly before the key is revoked is recorded, by every call that
// revokes keys.
func TestUseBeforeRevocationIsKept(t *testing.T) {
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newManager(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: -1})
				key, other := create(t, m, "o"), create(t, m, "p")
				time.Sleep(time.Second)
				used := now()
				wantValid(t, m, key)
				wantValid(t, m, other)
				time.Sleep(300 * time.Millisecond)
				if err := tt.do(t.Context(), m, key.Key.ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				for _, owner := range []apikey.Issued{key, other} {
					k, err := m.Get(t.Context(), owner.Key.Owner, owner.Key.ID)
					if err != nil || !k.LastUsedAt.Equal(used) {
						t.Errorf("%s: last used: got %v, %v, want %v", owner.Key.Owner, k.LastUsedAt, err, used)
					}
				}
			})
		})
	}
}

// Invariant 5: with a slow store, Revoke of a key in use takes as long as two calls. It takes
// only one if the process knows the key's digest and has no use of the key to record. A use is
// recorded even while Revoke looks up the key.
func TestRevokeOfAKeyInUse(t *testing.T) {
	const call = 300 * time.Millisecond
	for _, tt := range []struct {
		name string
		own  bool          // the process has created the key
		use  time.Duration // time of the use, counted from the start of Revoke
		want time.Duration // how long Revoke takes
	}{
		{"used before", false, -time.Second, 2 * call},
		{"used during the look-up", false, call / 2, 3 * call},
		{"own, used before", true, -time.Second, 2 * call},
		{"own, use recorded", true, -time.Minute, call},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := memstore.New()
				m := newManager(t, &spyStore{Store: st, before: func(op string) error {
					if op == "Get" || op == "Touch" || op == "Revoke" {
						time.Sleep(call)
					}
					return nil
				}}, nil)
				creator := m
				if !tt.own {
					creator = newManager(t, st, nil)
				}
				key, began := create(t, creator, "o"), now().Add(2*time.Minute+5*time.Second)
				go func() {
					time.Sleep(time.Until(began.Add(tt.use)))
					_, _ = m.Validate(t.Context(), key.Secret.Reveal())
				}()
				time.Sleep(time.Until(began))
				k, err := m.Revoke(t.Context(), "o", key.Key.ID, "")
				if err != nil || !k.LastUsedAt.Equal(began.Add(tt.use)) {
					t.Errorf("last used: got %v, %v, want %v", k.LastUsedAt, err, began.Add(tt.use))
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("Revoke took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Invariant 5: a use that a flush is about to write when the key is revoked is
// recorded.
func TestUseInFlightIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		slow.Store(true)
		m := newManager(t, &touchStore{Store: memstore.New(), check: func([]store.Use) {
			if slow.Swap(false) {
				time.Sleep(time.Second)
			}
		}}, nil)
		key, used := create(t, m, "o"), now()
		wantValid(t, m, key)
		time.Sleep(10*time.Second + 500*time.Millisecond) // in the middle of the flush
		k, err := m.Revoke(t.Context(), "o", key.Key.ID, "")
		if err != nil || !k.LastUsedAt.Equal(used) {
			t.Errorf("last used: got %v, %v, want %v", k.LastUsedAt, err, used)
		}
	})
}

// A Touch that panics or hangs does not prevent a revocation.
func TestRevokeDuringBrokenTouch(t *testing.T) {
	for _, touch := range []func(){func() { panic("boom") }, func() { time.Sleep(time.Hour) }} {
		synctest.Test(t, func(t *testing.T) {
			var fixed atomic.Bool
			m := newManager(t, &touchStore{Store: memstore.New(), check: func([]store.Use) {
				if !fixed.Load() {
					touch()
				}
			}}, nil)
			key := create(t, m, "o")
			wantValid(t, m, key)
			began := time.Now()
			if _, err := m.Revoke(t.Context(), "o", key.Key.ID, ""); err != nil || time.Since(began) > time.Second {
				t.Errorf("Revoke: got %v after %v, want no error within a second", err, time.Since(began))
			}
			wantRefused(t, m, key, apikey.ErrRevoked)
			fixed.Store(true)
			time.Sleep(2 * time.Hour)
		})
	}
}

// Invariant 5: a last use in the future, from an instance with a wrong clock, is shown as
// now and does not suppress later uses.
func TestLastUsedInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		m := newManager(t, st, nil)
		key := create(t, m, "o")
		future := time.Now().Add(365 * 24 * time.Hour)
		if err := st.Touch(t.Context(), []store.Use{{Digest: apikey.DigestOf(key.Secret.Reveal()), At: future}}); err != nil {
			t.Fatal(err)
		}
		if k, err := m.Get(t.Context(), "o", key.Key.ID); err != nil || k.LastUsedAt.After(time.Now()) {
			t.Errorf("last used: got %v, %v, want no time in the future", k.LastUsedAt, err)
		}
		wantValid(t, m, key)
		time.Sleep(6 * time.Minute)
		used := now()
		wantValid(t, m, key)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if r, err := st.Get(t.Context(), "o", key.Key.ID); err != nil || !r.LastUsedAt.Equal(used) {
			t.Errorf("last used in the store: got %v, %v, want %v", r.LastUsedAt, err, used)
		}
	})
}
