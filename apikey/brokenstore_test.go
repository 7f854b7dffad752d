package apikey_test

import (
	"cmp"
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
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

var errDown = errors.New("connection refused")

// Invariant 9, R-12, H-14: if a store misbehaves, Validate accepts no key, does not
// crash, and returns ErrUnavailable, which does not match a refusal of the key.
func TestBrokenStore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lookup func(store.Record) (store.Record, error)
	}{
		{"error", func(r store.Record) (store.Record, error) { return r, errDown }},
		{"panic", func(store.Record) (store.Record, error) { panic("boom") }},
		{"nil panic", func(store.Record) (store.Record, error) { panic(nil) }},
		{"exit", func(store.Record) (store.Record, error) { runtime.Goexit(); return store.Record{}, nil }},
		{"hang", func(r store.Record) (store.Record, error) { time.Sleep(time.Hour); return r, nil }},
		{"zero record", func(store.Record) (store.Record, error) { return store.Record{}, nil }},
		{"another digest", func(r store.Record) (store.Record, error) { r.Digest[31] ^= 1; return r, nil }},
		{"no owner", func(r store.Record) (store.Record, error) { r.Owner = ""; return r, nil }},
		{"no id", func(r store.Record) (store.Record, error) { r.ID = ""; return r, nil }},
		{"expiry before any clock", func(r store.Record) (store.Record, error) {
			r.ExpiresAt = time.Date(-292736, 1, 1, 0, 0, 0, 0, time.UTC)
			return r, nil
		}},
		{"expiry after any clock", func(r store.Record) (store.Record, error) {
			r.ExpiresAt = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)
			return r, nil
		}},
		{"revoked lookalike error", func(r store.Record) (store.Record, error) { return r, apikey.ErrRevoked }},
		{"an error that panics", func(r store.Record) (store.Record, error) { return r, (*typedNil)(nil) }},
		{"the cache's own error", func(r store.Record) (store.Record, error) { return r, cache.ErrNotFound }},
		{"the cache's own error, wrapped", func(r store.Record) (store.Record, error) { return r, fmt.Errorf("%w", cache.ErrMiss) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &brokenStore{Store: memstore.New(), lookup: tt.lookup}
				m := newManager(t, st, nil)
				issued := create(t, m, "o")
				for range 2 { // nothing is cached
					p, err := m.Validate(t.Context(), issued.Secret.Reveal())
					if p != nil || !errors.Is(err, apikey.ErrUnavailable) {
						t.Errorf("Validate = %v, %v, want ErrUnavailable", p, err)
					}
					if errors.Is(err, apikey.ErrUnauthenticated) || errors.Is(err, apikey.ErrForbidden) {
						t.Errorf("an outage matches a refusal of the key: %v", err)
					}
					if got := apikey.StatusCode(err); got != 503 {
						t.Errorf("an outage has the status of a refusal: got %d for %v", got, err)
					}
				}
				st.fixed.Store(true)
				wantValid(t, m, issued)
				time.Sleep(2 * time.Hour) // until the calls that hang have returned
			})
		})
	}
}

type brokenStore struct {
	store.Store
	lookup func(store.Record) (store.Record, error)
	fixed  atomic.Bool
}

func (s *brokenStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	r, err := s.Store.Lookup(ctx, d)
	if err != nil || s.fixed.Load() {
		return r, err
	}
	return s.lookup(r)
}

// M-12, advisory 13 (CVE-2020-15223): every management call returns the store's failure.
// A write that may have happened takes effect in the cache.
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
			if how == "after" { // the write happened, and its result was lost
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
				{"Usage", func() error { _, err := m.Usage(ctx, "o"); return err }},
				{"Update", func() error { _, err := m.Update(ctx, "o", id, apikey.UpdateParams{Disabled: &yes}); return err }},
				{"Revoke", func() error { _, err := m.Revoke(ctx, "o", id, ""); return err }},
				{"RevokeAll", func() error { _, err := m.RevokeAll(ctx, "o", ""); return err }},
			} {
				broken.Store(true)
				if err := call.f(); !errors.Is(err, apikey.ErrUnavailable) {
					t.Errorf("%s with a failing store: got %v, want ErrUnavailable", call.name, err)
				}
				broken.Store(false)
			}
			_, err := m.Validate(ctx, issued.Secret.Reveal())
			if how == "after" && !errors.Is(err, apikey.ErrRevoked) {
				t.Errorf("Validate after a Revoke whose result was lost: got %v, want ErrRevoked", err)
			}
			if how != "after" && err != nil {
				t.Errorf("Validate after a Revoke that did not happen: got %v, want the key accepted", err)
			}
		})
	}
}

// A store that returns other records than the requested ones counts as an outage.
func TestForgedManagementResults(t *testing.T) {
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
	if o, err := m.Usage(ctx, "thief"); !errors.Is(err, apikey.ErrUnavailable) || o.Entitled {
		t.Errorf("Usage with a store that counts -1: got %+v, %v, want an error", o, err)
	}
	if _, err := m.Revoke(ctx, "victim", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Revoke with a store that does nothing: got %v, want ErrUnavailable", err)
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

func (s *forgingStore) Count(context.Context, string, time.Time) (int, error) { return -1, nil }

func (s *forgingStore) Revoke(ctx context.Context, _, _ string, _ time.Time, _ string) (store.Record, bool, error) {
	r, err := s.Store.Get(ctx, "victim", s.victim)
	return r, true, err
}

// StaleIfError, within one process.
func TestStaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		st := &spyStore{Store: memstore.New(), before: func(string) error {
			if down.Load() {
				return errDown
			}
			return nil
		}}
		m := newManager(t, st, &apikey.Options{StaleIfError: 10 * time.Minute})
		known, revoked, unseen := create(t, m, "o"), create(t, m, "o"), create(t, m, "o")
		wantValid(t, m, revoked)
		if _, err := m.Revoke(t.Context(), "o", revoked.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		wantValid(t, m, known)
		down.Store(true)
		for _, at := range []time.Duration{2 * time.Minute, 7 * time.Minute} {
			time.Sleep(at)
			wantValid(t, m, known)
			wantRefused(t, m, unseen, apikey.ErrUnavailable)
			if _, err := m.Validate(t.Context(), revoked.Secret.Reveal()); err == nil {
				t.Error("a key that this Manager revoked was accepted during an outage")
			}
		}
		time.Sleep(time.Minute)
		wantRefused(t, m, known, apikey.ErrUnavailable)
		down.Store(false)
		time.Sleep(time.Second) // the maximum back-off of loads
		wantValid(t, m, known)
	})
}

// Invariants 9 and 10: after a look-up has found that a key or a plan is missing, an outage does
// not make the key accepted again.
func TestOutageRestoresNoAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &billing{result: plan(paid)}
		st := &brokenStore{Store: memstore.New()}
		st.fixed.Store(true)
		m := newManager(t, st, &apikey.Options{Entitlements: b, StaleIfError: time.Hour})
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		b.result = func() (entitlement.Entitlement, error) { return paid, entitlement.ErrNone }
		time.Sleep(time.Minute)
		for range 2 {
			wantRefused(t, m, issued, apikey.ErrNotEntitled)
			time.Sleep(6 * time.Second)
		}
		b.result = func() (entitlement.Entitlement, error) { return paid, errDown }
		wantRefused(t, m, issued, apikey.ErrUnavailable)

		b.result = plan(paid)
		wantValid(t, m, issued)
		st.fixed.Store(false)
		st.lookup = func(r store.Record) (store.Record, error) { return r, store.ErrNotFound } // as if the key was deleted
		time.Sleep(time.Minute)
		for range 2 {
			wantRefused(t, m, issued, apikey.ErrUnknown)
			time.Sleep(6 * time.Second)
		}
		st.lookup = func(r store.Record) (store.Record, error) { return r, errDown }
		wantRefused(t, m, issued, apikey.ErrUnavailable)
	})
}

// A store that reports success without writing counts as an outage.
func TestStoreWritesNothing(t *testing.T) {
	st := &idleStore{Store: memstore.New()}
	m := newManager(t, st, nil)
	issued, yes := create(t, m, "o"), true
	wantValid(t, m, issued)
	st.r, _ = st.Store.Get(t.Context(), "o", issued.Key.ID)
	id := issued.Key.ID
	_, update := m.Update(t.Context(), "o", id, apikey.UpdateParams{Disabled: &yes})
	_, revoke := m.Revoke(t.Context(), "o", id, "")
	_, all := m.RevokeAll(t.Context(), "o", "")
	_, rotate := m.Rotate(t.Context(), "o", id, 0)
	_, grace := m.Rotate(t.Context(), "o", id, time.Hour)
	for call, err := range map[string]error{"Update": update, "Revoke": revoke, "RevokeAll": all, "Rotate": rotate, "Rotate with grace": grace} {
		if !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("%s with a store that does nothing: got %v, want ErrUnavailable", call, err)
		}
	}
}

type idleStore struct {
	store.Store
	r store.Record
}

func (s *idleStore) Update(context.Context, string, string, store.Change) (store.Record, error) {
	return s.r, nil
}

func (s *idleStore) Revoke(context.Context, string, string, time.Time, string) (store.Record, bool, error) {
	return s.r, true, nil
}

func (s *idleStore) RevokeAll(context.Context, string, time.Time, string) ([]store.Record, error) {
	return []store.Record{s.r}, nil
}

func (s *idleStore) Rotate(_ context.Context, owner, _ string, next store.Record, _ time.Time, _ int) (old, now store.Record, err error) {
	old, next.Owner = s.r, owner
	old.ReplacedBy = next.ID
	return old, next, nil
}

// a store that returns another key of the same owner counts as an outage.
func TestAnotherKeyOfTheOwner(t *testing.T) {
	st := &swappingStore{Store: memstore.New()}
	creator, m := newManager(t, st.Store, nil), newManager(t, st, nil)
	one, other := create(t, creator, "o"), create(t, creator, "o")
	st.id = other.Key.ID
	if k, err := m.Get(t.Context(), "o", one.Key.ID); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Get: got key %s, %v, want ErrUnavailable", k.ID, err)
	}
	if k, err := m.Revoke(t.Context(), "o", one.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Revoke: got key %s, %v, want ErrUnavailable, since the store returned another key", k.ID, err)
	}
	st.id = ""
	if k, err := m.Get(t.Context(), "o", one.Key.ID); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Get without the digest: got key %s, %v, want ErrUnavailable", k.ID, err)
	}
	if k, err := m.Revoke(t.Context(), "o", one.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Revoke without the digest: got key %s, %v, want ErrUnavailable, since no cache could be invalidated", k.ID, err)
	}
}

// A swappingStore always returns the same key, or the requested one without its digest.
type swappingStore struct {
	store.Store
	id string
}

func (s *swappingStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	r, err := s.Store.Get(ctx, owner, cmp.Or(s.id, id))
	if s.id == "" {
		r.Digest = store.Digest{}
	}
	return r, err
}

// Rotate returns no token if the store returns anything but the requested
// rotation.
func TestForgedRotations(t *testing.T) {
	for name, forge := range map[string]func(old, made *store.Record){
		"another old key":        func(old, _ *store.Record) { old.ID = "other" },
		"another owner's":        func(old, _ *store.Record) { old.Owner = "other" },
		"another successor":      func(old, _ *store.Record) { old.ReplacedBy = "other" },
		"no end":                 func(old, _ *store.Record) { old.RevokedAt, old.ExpiresAt = time.Time{}, time.Time{} },
		"a later end":            func(old, _ *store.Record) { old.RevokedAt, old.ExpiresAt = time.Time{}, now().Add(2*time.Hour) },
		"another new key":        func(_, made *store.Record) { made.ID = "other" },
		"another owner's new":    func(_, made *store.Record) { made.Owner = "other" },
		"a key of another token": func(_, made *store.Record) { made.Digest[0] ^= 1 },
	} {
		for _, grace := range []time.Duration{0, time.Hour} {
			st := &rotationForger{Store: memstore.New()}
			m := newManager(t, st, nil)
			issued := create(t, m, "o")
			st.forge = forge
			if got, err := m.Rotate(t.Context(), "o", issued.Key.ID, grace); !errors.Is(err, apikey.ErrUnavailable) || got.Secret.Reveal() != "" {
				t.Errorf("%s, grace %v: got key %q and error %v, want ErrUnavailable and no token", name, grace, got.Key.ID, err)
			}
		}
	}
}

type rotationForger struct {
	store.Store
	forge func(old, made *store.Record)
}

func (s *rotationForger) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, made store.Record, err error) {
	if old, made, err = s.Store.Rotate(ctx, owner, id, next, ends, limit); err == nil {
		s.forge(&old, &made)
	}
	return old, made, err
}

// No call waits longer than CallTimeout for a store that ignores its context. A write
// that it makes later takes effect at once.
func TestStoreIgnoresContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &hangingStore{Store: memstore.New()}
		m := newManager(t, st, &apikey.Options{CacheTTL: time.Hour})
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		st.hangs.Store(true)
		began := time.Now()
		if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("Revoke with a store that hangs: got %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Revoke with a store that hangs took %v, want the default CallTimeout, 3 s", took)
		}
		wantValid(t, m, issued) // not revoked yet
		time.Sleep(time.Minute)
		wantRefused(t, m, issued, apikey.ErrRevoked)

		wantValid(t, m, create(t, m, "o"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("Close with a store that hangs: got %v after %v, want its deadline of 1 s", err, time.Since(began))
		}
		st.hangs.Store(false)
		time.Sleep(2 * time.Minute)
	})
}

type hangingStore struct {
	store.Store
	hangs atomic.Bool
}

func (s *hangingStore) hang() {
	if s.hangs.Load() {
		time.Sleep(time.Minute)
	}
}

func (s *hangingStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	s.hang()
	return s.Store.Revoke(context.WithoutCancel(ctx), owner, id, at, reason)
}

func (s *hangingStore) Touch(ctx context.Context, uses []store.Use) error {
	s.hang()
	return s.Store.Touch(context.WithoutCancel(ctx), uses)
}

// The number of calls that were abandoned but have not returned is bounded.
func TestAbandonedCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most atomic.Int64
		st := &spyStore{Store: memstore.New(), before: func(op string) error {
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Hour)
			under.Add(-1)
			return nil
		}}
		m := newManager(t, st, nil)
		var callers sync.WaitGroup
		for i := range 500 {
			callers.Go(func() {
				if _, err := m.Get(t.Context(), fmt.Sprint("o", i), "key_x"); !errors.Is(err, apikey.ErrUnavailable) {
					t.Errorf("Get: got %v, want ErrUnavailable", err)
				}
			})
		}
		callers.Wait()
		if most.Load() > 4 {
			t.Errorf("concurrent reads of the store: got %d, want at most 4", most.Load())
		}
		time.Sleep(2 * time.Hour)
	})
}

func brokenLookup(r store.Record) (store.Record, error) { return r, errDown }

// typedNil is an error that a store returns by mistake. Its methods panic.
type typedNil struct{ cause error }

func (e *typedNil) Error() string { return "typed nil" }
func (e *typedNil) Unwrap() error { return e.cause }

// An error whose methods panic counts as an outage like any other, even in a goroutine in which
// only the Manager can recover.
func TestErrorsThatPanic(t *testing.T) {
	st := &spyStore{Store: memstore.New()}
	m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
	for range 1_500 { // more than one batch of last-used times
		wantValid(t, m, create(t, m, "o"))
	}
	st.before = func(string) error { return (*typedNil)(nil) }
	if err := m.Close(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Close: got %v, want ErrUnavailable", err)
	}
	if _, err := m.List(t.Context(), apikey.ListParams{Owner: "o"}); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("List: got %v, want ErrUnavailable", err)
	}
	if _, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n"}); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("Create: got %v, want ErrUnavailable", err)
	}
	st.before = nil
}
