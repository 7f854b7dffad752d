package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Invariant 1, C-01, advisory 18 (CVE-2024-21661): once the call that revoked a key has returned,
// every Validate that starts later refuses the key. Each trial has a new key, 64 validators of
// it, and a store that pauses before and after each step.
func TestRevokedNeverValidates(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name string
		end  func(ctx context.Context, m *apikey.Manager, k apikey.Key) error
	}{
		{"Revoke", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Revoke(ctx, k.Owner, k.ID, "")
			return err
		}},
		{"RevokeAll", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.RevokeAll(ctx, k.Owner, "")
			return err
		}},
		{"Rotate", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Rotate(ctx, k.Owner, k.ID, 0)
			return err
		}},
		{"Disable", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Update(ctx, k.Owner, k.ID, apikey.UpdateParams{Disabled: &yes})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dawdle := func(op string) {
				if op != "Get" && op != "Insert" {
					pause()
				}
			}
			st := &spyStore{Store: memstore.New(), before: func(op string) error { dawdle(op); return nil }, after: dawdle}
			m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1, CacheTTL: time.Hour})
			var accepted, validations atomic.Int64
			n := testkit.Trials(300, 25_000) // for each of the four calls
			for range n {
				issued := create(t, m, "owner")
				token := issued.Secret.Reveal()
				var ended atomic.Bool
				var validators sync.WaitGroup
				for range 64 {
					validators.Go(func() {
						for done := false; !done; pause() {
							done = ended.Load()
							validations.Add(1)
							if _, err := m.Validate(t.Context(), token); err == nil && done {
								accepted.Add(1)
							}
						}
					})
				}
				pause()
				if err := tt.end(t.Context(), m, issued.Key); err != nil {
					t.Error(err)
				}
				ended.Store(true)
				validators.Wait()
				if _, err := m.Validate(t.Context(), token); err == nil {
					accepted.Add(1)
				}
			}
			t.Logf("%d trials, %d validations, %d accepted too late", n, validations.Load(), accepted.Load())
			if accepted.Load() > 0 {
				t.Errorf("%d validations that started after %s had returned were accepted, in %d trials", accepted.Load(), tt.name, n)
			}
		})
	}
}

// Advisory 2 (better-auth #9974), C-06: a validation that read the record before a
// revocation does not write or cache it.
func TestSlowReadResurrectsNothing(t *testing.T) {
	reading, resume := make(chan struct{}), make(chan struct{})
	var slow atomic.Bool
	st := &spyStore{Store: memstore.New()}
	st.after = func(op string) {
		if op == "Lookup" && slow.CompareAndSwap(true, false) {
			close(reading)
			<-resume
		}
	}
	m := newManager(t, st, nil)
	issued := create(t, m, "o")
	slow.Store(true)
	early := make(chan error)
	go func() {
		_, err := m.Validate(t.Context(), issued.Secret.Reveal())
		early <- err
	}()
	<-reading
	if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m, issued, apikey.ErrRevoked) // does not wait for the slow look-up
	close(resume)
	if err := <-early; err != nil {
		t.Errorf("the validation that began before the revocation: got %v, want the key as it was then", err)
	}
	wantRefused(t, m, issued, apikey.ErrRevoked)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := st.Store.Lookup(t.Context(), apikey.DigestOf(issued.Secret.Reveal()))
	if err != nil || r.RevokedAt.IsZero() || !r.LastUsedAt.IsZero() {
		t.Errorf("record: got %+v, %v, want it revoked, without a later use", r, err)
	}
}

// Invariant 8, C-07.
func TestManyValidationsOneRead(t *testing.T) {
	resume := make(chan struct{})
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		if op == "Lookup" {
			<-resume
		}
		return nil
	}}
	m := newManager(t, st, &apikey.Options{CallTimeout: time.Minute}) // slow loads have fewer places
	issued := create(t, m, "o")
	token := issued.Secret.Reveal()
	leader, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := m.Validate(leader, token)
		gone <- err
	}()
	for st.lookups.Load() == 0 {
		runtime.Gosched()
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	for range 10_000 {
		all.Go(func() {
			if _, err := m.Validate(t.Context(), token); err != nil {
				failed.Add(1)
			}
		})
	}
	cancel()
	if err := <-gone; !errors.Is(err, apikey.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled validation: %v", err)
	}
	close(resume)
	all.Wait()
	if st.lookups.Load() != 1 || failed.Load() != 0 {
		t.Errorf("10,000 validations of one uncached key: got %d store reads and %d failures, want 1 and 0", st.lookups.Load(), failed.Load())
	}
}

// Invariant 6, C-05, advisory 12 (CVE-2021-32701): the cache holds no decisions.
func TestCacheHoldsNoDecision(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	issued := create(t, m, "o")
	for range 3 {
		if p := wantValid(t, m, issued); !p.Allows("reports:read") || p.Allows("reports:write") {
			t.Error("a scope check used the result of an earlier one")
		}
	}
	if _, err := m.Update(t.Context(), "o", issued.Key.ID, apikey.UpdateParams{Scopes: []string{"reports:write"}}); err != nil {
		t.Fatal(err)
	}
	if p := wantValid(t, m, issued); p.Allows("reports:read") || !p.Allows("reports:write") {
		t.Error("changed scopes do not take effect at once")
	}
}

// C-09: a token that was refused as unknown is valid as soon as it is registered.
func TestRegisterEndsNegativeEntry(t *testing.T) {
	other := newManager(t, memstore.New(), nil)
	m := newManager(t, memstore.New(), nil)
	for range 200 {
		issued := create(t, other, "o")
		_, _ = other.Revoke(t.Context(), "o", issued.Key.ID, "")
		wantRefused(t, m, issued, apikey.ErrUnknown)
		wantRefused(t, m, issued, apikey.ErrUnknown)
		k, err := m.Register(t.Context(), apikey.RegisterParams{
			CreateParams: apikey.CreateParams{Owner: "o", Name: "n"}, Digest: apikey.DigestOf(issued.Secret.Reveal()), Hint: issued.Key.Hint,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); err != nil {
			t.Fatalf("Validate just after Register: %v", err)
		}
		_, _ = m.Revoke(t.Context(), "o", k.ID, "")
	}
}

// C-17: 1,000 validations of 20 cold keys read the store 20 times, even during another
// owner's RevokeAll.
func TestRevokeAllDuringColdLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, validations = 20, 1_000
		resume := make(chan struct{})
		st := &spyStore{Store: memstore.New(), before: func(op string) error {
			if op == "RevokeAll" {
				<-resume
			}
			return nil
		}}
		m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
		create(t, m, "closed")
		var tokens []string
		for i := range keys {
			tokens = append(tokens, create(t, m, fmt.Sprint("o", i)).Secret.Reveal())
		}
		go func() {
			if n, err := m.RevokeAll(t.Context(), "closed", ""); n != 1 || err != nil {
				t.Errorf("RevokeAll = %d, %v, want 1", n, err)
			}
		}()
		synctest.Wait()
		before := st.lookups.Load()
		for i := range validations {
			if _, err := m.Validate(t.Context(), tokens[i%keys]); err != nil {
				t.Fatal(err)
			}
			if i == keys-1 {
				synctest.Wait() // until ristretto has accepted the entries
			}
		}
		if reads := st.lookups.Load() - before; reads != keys {
			t.Errorf("got %d reads for %d validations of %d keys during another owner's RevokeAll, want one for each key", reads, validations, keys)
		}
		close(resume)
		synctest.Wait()
	})
}

// RevokeAll revokes batches until no key is left, and deletes each key from the shared
// cache. It stops between two batches if its context ends.
func TestRevokeAllInBatches(t *testing.T) {
	const keys = 2*store.RevokeBatch + 500
	ctx, cancel := context.WithCancel(t.Context())
	calls, hangUp := 0, false
	st := &spyStore{Store: memstore.New(), after: func(op string) {
		if op == "RevokeAll" {
			if calls++; hangUp {
				cancel()
			}
		}
	}}
	var events recorder
	shared := &deletedShared{deleted: map[cache.Key]bool{}}
	m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1, OnEvent: events.record, SharedCache: shared, Logger: slog.New(slog.DiscardHandler)})
	long := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Microsecond)
	var first, last store.Record
	for i := range keys {
		text := fmt.Sprint("key_", i)
		last = store.Record{ID: text, Digest: apikey.DigestOf(text), Owner: "o", Name: text, Hint: "key_", CreatedAt: long.Add(time.Duration(i))}
		if i == 0 {
			first = last
		}
		if err := st.Store.Insert(t.Context(), last, -1); err != nil {
			t.Fatal(err)
		}
	}
	hangUp = true
	n, err := m.RevokeAll(ctx, "o", "closed")
	if n != store.RevokeBatch && n != 0 || !errors.Is(err, apikey.ErrUnavailable) || !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("RevokeAll whose caller hangs up in the first batch: got %d, %v after %d calls, want no second batch", n, err, calls)
	}
	// The remaining keys keep working.
	if k, err := m.Get(t.Context(), "o", last.ID); err != nil || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("the last key after the first batch: got %v, %v, want active", k.Status(time.Now()), err)
	}
	hangUp = false
	again, err := m.RevokeAll(t.Context(), "o", "closed")
	if again != keys-store.RevokeBatch || err != nil {
		t.Errorf("second RevokeAll: got %d, %v, want the other %d keys", again, err, keys-store.RevokeBatch)
	}
	// The call that was given up reports its batch, too.
	got := len(events.take())
	for deadline := time.Now().Add(10 * time.Second); got < keys && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got += len(events.take())
	}
	if got != keys {
		t.Errorf("got %d events for %d keys", got, keys)
	}
	for _, r := range []store.Record{first, last} {
		if k, err := m.Get(t.Context(), "o", r.ID); err != nil || k.Status(time.Now()) != apikey.StatusRevoked {
			t.Errorf("status of %s: got %v, %v, want revoked", r.ID, k.Status(time.Now()), err)
		}
	}
	if got := shared.count(); got < keys-store.RevokeBatch {
		t.Errorf("keys deleted from the shared cache: got %d, want all of the second call", got)
	}
	if n, err := m.RevokeAll(t.Context(), "o", ""); n != 0 || err != nil {
		t.Errorf("RevokeAll of an owner with none left = %d, %v", n, err)
	}
}

// A deletedShared stores nothing and records the deleted keys.
type deletedShared struct {
	mu      sync.Mutex
	deleted map[cache.Key]bool
}

func (*deletedShared) Get(context.Context, cache.Key) (cache.Item, string, error) {
	return cache.Item{}, "", cache.ErrMiss
}
func (*deletedShared) Set(context.Context, cache.Key, string, cache.Item, time.Duration) error {
	return nil
}
func (s *deletedShared) Delete(_ context.Context, keys ...cache.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		s.deleted[k] = true
	}
	return nil
}
func (s *deletedShared) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.deleted)
}

// A store that returns the same keys as revoked again and again counts as an outage.
func TestRevokeAllOfRepeatingStore(t *testing.T) {
	m := newManager(t, repeatingStore{memstore.New()}, &apikey.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := m.RevokeAll(ctx, "o", ""); !errors.Is(err, apikey.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("RevokeAll of a store that revokes the same keys again: got %v, want ErrUnavailable before its context ends", err)
	}
}

type repeatingStore struct{ store.Store }

func (repeatingStore) RevokeAll(_ context.Context, owner string, at time.Time, reason string) (all []store.Record, err error) {
	for i := range store.RevokeBatch {
		id := fmt.Sprint("key_", i)
		all = append(all, store.Record{ID: id, Digest: apikey.DigestOf(id), Owner: owner, RevokedAt: at, RevokeReason: reason})
	}
	return all, nil
}
