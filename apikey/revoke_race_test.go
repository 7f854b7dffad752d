package apikey_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Invariant 1, C-01: a Validate that starts after the call that ended a key has
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

var errDown = errors.New("connection refused")

// Invariant 9, R-12, H-14: whatever a store does, nobody is admitted, nothing
// crashes, and the answer is ErrUnavailable, which is no refusal of the key.
func TestBrokenStore(t *testing.T) {
	// The next answer of Lookup; nil asks the store.
	var lookup func(store.Record) (store.Record, error)
	st := &brokenStore{spyStore: &spyStore{Store: memstore.New()}}
	st.lookup = func(r store.Record) (store.Record, error) { return lookup(r) }
	m := newManager(t, st, &apikey.Options{LookupTimeout: 50 * time.Millisecond})
	for _, tt := range []struct {
		name   string
		lookup func(store.Record) (store.Record, error)
	}{
		{"error", func(r store.Record) (store.Record, error) { return r, errDown }},
		{"panic", func(store.Record) (store.Record, error) { panic("boom") }},
		{"nil panic", func(store.Record) (store.Record, error) { panic(nil) }},
		{"exit", func(store.Record) (store.Record, error) { runtime.Goexit(); return store.Record{}, nil }},
		{"hang", func(r store.Record) (store.Record, error) { time.Sleep(200 * time.Millisecond); return r, nil }},
		{"zero record", func(store.Record) (store.Record, error) { return store.Record{}, nil }},
		{"another digest", func(r store.Record) (store.Record, error) { r.Digest[31] ^= 1; return r, nil }},
		{"no owner", func(r store.Record) (store.Record, error) { r.Owner = ""; return r, nil }},
		{"no id", func(r store.Record) (store.Record, error) { r.ID = ""; return r, nil }},
		{"revoked lookalike error", func(r store.Record) (store.Record, error) { return r, apikey.ErrRevoked }},
	} {
		issued := create(t, m, tt.name)
		lookup = tt.lookup
		p, err := m.Validate(t.Context(), issued.Secret.Reveal())
		if p != nil || !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("%s: Validate = %v, %v, want ErrUnavailable", tt.name, p, err)
		}
		if tt.name != "revoked lookalike error" && errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("%s: an outage looks like a bad key: %v", tt.name, err)
		}
		lookup = func(r store.Record) (store.Record, error) { return r, nil }
		time.Sleep(time.Millisecond)
		wantValid(t, m, issued) // nothing was kept
	}
}

type brokenStore struct {
	*spyStore
	lookup func(store.Record) (store.Record, error)
}

func (s *brokenStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	r, err := s.spyStore.Lookup(ctx, d)
	if err != nil {
		return r, err
	}
	return s.lookup(r)
}

// M-12, advisory 13 (CVE-2020-15223): no management call hides the store's
// failure, and what may have happened counts as having happened.
func TestManagementErrorsSurface(t *testing.T) {
	for _, how := range []string{"error", "panic", "after"} {
		t.Run(how, func(t *testing.T) {
			ctx := t.Context()
			var broken atomic.Bool
			st := &spyStore{Store: memstore.New()}
			fail := func(op string) error {
				if op == "Lookup" || op == "Get" && how != "after" || !broken.Load() {
					return nil
				}
				if how == "panic" {
					panic(errDown)
				}
				return errDown
			}
			if how == "after" { // it happened, and the answer was lost
				st.after = func(op string) {
					if fail(op) != nil && op != "Get" {
						panic(errDown)
					}
				}
			} else {
				st.before = fail
			}
			m := newManager(t, st, nil)
			issued := create(t, m, "o")
			wantValid(t, m, issued)
			id, yes := issued.Key.ID, true
			for _, call := range []struct {
				name string
				f    func() error
			}{
				{"Create", func() error { _, err := m.Create(ctx, apikey.CreateParams{Owner: "o", Name: "n"}); return err }},
				{"List", func() error { _, err := m.List(ctx, apikey.ListParams{Owner: "o"}); return err }},
				{"Update", func() error { _, err := m.Update(ctx, "o", id, apikey.UpdateParams{Disabled: &yes}); return err }},
				{"Revoke", func() error { _, err := m.Revoke(ctx, "o", id, ""); return err }},
				{"RevokeAll", func() error { _, err := m.RevokeAll(ctx, "o", ""); return err }},
			} {
				broken.Store(true)
				if err := call.f(); !errors.Is(err, apikey.ErrUnavailable) {
					t.Errorf("%s over a failing store: %v, want ErrUnavailable", call.name, err)
				}
				broken.Store(false)
			}
			_, err := m.Validate(ctx, issued.Secret.Reveal())
			if how == "after" && !errors.Is(err, apikey.ErrRevoked) {
				t.Errorf("Validate after a Revoke whose answer was lost: %v, want ErrRevoked", err)
			}
			if how != "after" && err != nil {
				t.Errorf("Validate after a Revoke that did not happen: %v, want the key still good", err)
			}
		})
	}
}

// A store that answers with other records than those asked for is an outage.
func TestForgedManagementAnswers(t *testing.T) {
	st := &forgingStore{Store: memstore.New()}
	m := newManager(t, st, nil)
	issued := create(t, m, "victim")
	st.victim = issued.Key.ID
	ctx := t.Context()
	if k, err := m.Get(ctx, "thief", issued.Key.ID); !errors.Is(err, apikey.ErrUnavailable) || k.ID != "" {
		t.Errorf("Get = %+v, %v", k, err)
	}
	if p, err := m.List(ctx, apikey.ListParams{Owner: "thief"}); !errors.Is(err, apikey.ErrUnavailable) || p.Keys != nil {
		t.Errorf("List = %+v, %v", p, err)
	}
	if _, err := m.Revoke(ctx, "victim", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Revoke by a store that does nothing = %v, want ErrUnavailable: it must not look done", err)
	}
}

type forgingStore struct {
	store.Store
	victim string
}

func (s *forgingStore) Get(ctx context.Context, _, _ string) (store.Record, error) {
	return s.Store.Get(ctx, "victim", s.victim)
}

func (s *forgingStore) List(ctx context.Context, _ store.Query) (store.Page, error) {
	return s.Store.List(ctx, store.Query{Owner: "victim"})
}

func (s *forgingStore) Revoke(ctx context.Context, _, _ string, _ time.Time, _ string) (store.Record, bool, error) {
	r, err := s.Store.Get(ctx, "victim", s.victim)
	return r, true, err
}

// within one process: StaleIfError.
func TestStaleIfError(t *testing.T) {
	var down atomic.Bool
	st := &spyStore{Store: memstore.New(), before: func(string) error {
		if down.Load() {
			return errDown
		}
		return nil
	}}
	m := newManager(t, st, &apikey.Options{CacheTTL: 20 * time.Millisecond, StaleIfError: 400 * time.Millisecond})
	known, revoked, unseen := create(t, m, "o"), create(t, m, "o"), create(t, m, "o")
	wantValid(t, m, revoked)
	if _, err := m.Revoke(t.Context(), "o", revoked.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	wantValid(t, m, known)
	seen := time.Now()
	down.Store(true)
	time.Sleep(60 * time.Millisecond)
	wantValid(t, m, known)
	wantRefused(t, m, unseen, apikey.ErrUnavailable)
	if _, err := m.Validate(t.Context(), revoked.Secret.Reveal()); err == nil {
		t.Error("a key revoked here was accepted during an outage")
	}
	time.Sleep(time.Until(seen.Add(450 * time.Millisecond)))
	wantRefused(t, m, known, apikey.ErrUnavailable)
	down.Store(false)
	wantValid(t, m, known)
}
