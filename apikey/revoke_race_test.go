package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Invariant 1, C-01, advisory 18 (CVE-2024-21661): a Validate that starts after the call that ended a key has
// returned refuses it. Each trial has a new key, 64 validators on it, and a
// store that dawdles before and after each of its steps.
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
			n := trials(300, 25_000) // of each of the four
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

// Advisory 2 (better-auth #9974), C-06: a validation that read the record
// before a revocation writes nothing back and keeps nothing.
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
	wantRefused(t, m, issued, apikey.ErrRevoked) // and does not wait for the slow one
	close(resume)
	if err := <-early; err != nil {
		t.Errorf("the validation that began before the revocation: %v, want it answered as of then", err)
	}
	wantRefused(t, m, issued, apikey.ErrRevoked)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := st.Store.Lookup(t.Context(), apikey.DigestOf(issued.Secret.Reveal()))
	if err != nil || r.RevokedAt.IsZero() || !r.LastUsedAt.IsZero() {
		t.Errorf("the record is %+v, %v, want it revoked and not touched", r, err)
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
	m := newManager(t, st, nil)
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
		t.Errorf("the validation that was cancelled: %v", err)
	}
	close(resume)
	all.Wait()
	if st.lookups.Load() != 1 || failed.Load() != 0 {
		t.Errorf("10,000 validations of one uncached key: %d store reads and %d failures, want 1 and 0", st.lookups.Load(), failed.Load())
	}
}

// Invariant 6, C-05, advisory 12 (CVE-2021-32701): the cache holds no decision.
func TestCacheHoldsNoDecision(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	issued := create(t, m, "o")
	for range 3 {
		if p := wantValid(t, m, issued); !p.Allows("reports:read") || p.Allows("reports:write") {
			t.Error("a scope check was answered by an earlier one")
		}
	}
	if _, err := m.Update(t.Context(), "o", issued.Key.ID, apikey.UpdateParams{Scopes: []string{"reports:write"}}); err != nil {
		t.Fatal(err)
	}
	if p := wantValid(t, m, issued); p.Allows("reports:read") || !p.Allows("reports:write") {
		t.Error("changed scopes are not honoured at once")
	}
}

// C-09: a token that was refused as unknown works as soon as it is registered.
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

// C-17: 1,000 validations of 20 cold keys read the store 20 times, also while
// another owner's RevokeAll is under way.
func TestRevokeAllBesideColdKeys(t *testing.T) {
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
		}
		if reads := st.lookups.Load() - before; reads != keys {
			t.Errorf("%d reads for %d validations of %d keys beside a RevokeAll of another owner, want one each", reads, validations, keys)
		}
		close(resume)
		synctest.Wait()
	})
}
