package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// createMany creates more keys of the owner "o" than RevokeAll revokes at once.
func createMany(t *testing.T, m *apikey.Manager) (issued []apikey.Issued) {
	t.Helper()
	for range 1_500 {
		issued = append(issued, create(t, m, "o"))
	}
	return issued
}

// countAccepted returns how many revoked keys m accepts, and how many are revoked.
func countAccepted(t *testing.T, m *apikey.Manager, issued []apikey.Issued) (accepted, revoked int) {
	t.Helper()
	for _, i := range issued {
		if k, err := m.Get(t.Context(), "o", i.Key.ID); err != nil || k.Status(time.Now()) != apikey.StatusRevoked {
			continue
		}
		revoked++
		if _, err := m.Validate(t.Context(), i.Secret.Reveal()); err == nil {
			accepted++
		}
	}
	return accepted, revoked
}

// I.3: a batch of RevokeAll reaches the other instances, even if its caller gives up
// meanwhile.
func TestInterruptedRevokeAllIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		st := &spyStore{Store: memstore.New(), before: func(op string) error {
			if op == "RevokeAll" {
				cancel()
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}}
		opts := &apikey.Options{Bus: &memoryBus{}, CacheTTL: 10 * time.Minute, MaxKeysPerOwner: -1}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		settle()
		issued := createMany(t, a)
		for _, i := range issued {
			wantValid(t, b, i)
		}
		if n, err := a.RevokeAll(ctx, "o", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("RevokeAll of a caller who hangs up: got %d, %v", n, err)
		}
		time.Sleep(2 * time.Second)
		if accepted, revoked := countAccepted(t, b, issued); accepted > 0 || revoked == 0 {
			t.Errorf("revoked keys that another instance accepted: got %d of %d, want 0", accepted, revoked)
		}
	})
}

// Invariant 1: RevokeAll deletes each batch of keys from the shared cache. If an entry was loaded
// from there before, it is not served after the call, even if there is no second batch.
func TestInterruptedRevokeAllInvalidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared memoryShared
		ctx, cancel := context.WithCancel(t.Context())
		m := newManager(t, memstore.New(), &apikey.Options{SharedCache: &shared, CacheTTL: 10 * time.Minute, MaxKeysPerOwner: -1})
		issued := createMany(t, m)
		time.Sleep(48 * time.Hour) // by now the process no longer remembers individual keys
		for _, i := range issued {
			wantValid(t, m, i)
			time.Sleep(5 * time.Millisecond)
		}
		var once atomic.Bool
		shared.fail(func(op string) error {
			if op == "Delete" && !once.Swap(true) {
				for _, i := range issued {
					_, _ = m.Validate(ctx, i.Secret.Reveal())
				}
				cancel()
			}
			return nil
		})
		if n, err := m.RevokeAll(ctx, "o", ""); err == nil {
			t.Errorf("RevokeAll of a caller who hangs up: got %d and no error, want an error", n)
		}
		time.Sleep(time.Second)
		if accepted, revoked := countAccepted(t, m, issued); accepted > 0 || revoked == 0 {
			t.Errorf("keys that the Manager accepted after it had revoked them: got %d of %d, want 0", accepted, revoked)
		}
	})
}

// A caller who hangs up cannot hide a change from the audit trail.
func TestEventOfCallerWhoHangsUp(t *testing.T) {
	for _, verb := range []struct {
		op   string
		kind apikey.EventKind
		call func(ctx context.Context, m *apikey.Manager, k apikey.Key) error
	}{
		{"Insert", apikey.EventCreated, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Create(ctx, apikey.CreateParams{Owner: k.Owner, Name: "another"})
			return err
		}},
		{"Insert", apikey.EventRegistered, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Register(ctx, apikey.RegisterParams{CreateParams: apikey.CreateParams{Owner: k.Owner, Name: "another"}, Digest: apikey.DigestOf("another"), Hint: "key_"})
			return err
		}},
		{"Update", apikey.EventUpdated, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			name := "another"
			_, err := m.Update(ctx, k.Owner, k.ID, apikey.UpdateParams{Name: &name})
			return err
		}},
		{"Rotate", apikey.EventRotated, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Rotate(ctx, k.Owner, k.ID, 0)
			return err
		}},
		{"Revoke", apikey.EventRevoked, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Revoke(ctx, k.Owner, k.ID, "")
			return err
		}},
		{"RevokeAll", apikey.EventRevoked, func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.RevokeAll(ctx, k.Owner, "")
			return err
		}},
	} {
		t.Run(fmt.Sprint(verb.op, " ", verb.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var writing atomic.Bool
				st := &spyStore{Store: memstore.New(), before: func(op string) error {
					if op == verb.op && writing.Load() {
						cancel()
						time.Sleep(100 * time.Millisecond)
					}
					return nil
				}}
				var events recorder
				m := newManager(t, st, &apikey.Options{OnEvent: events.record})
				issued := create(t, m, "o")
				events.take()
				writing.Store(true)
				if err := verb.call(ctx, m, issued.Key); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want the error of a caller who hangs up", err)
				}
				time.Sleep(time.Second)
				if got := events.take(); len(got) != 1 || got[0].Kind != verb.kind {
					t.Errorf("events: got %+v, want one event of kind %q", got, verb.kind)
				}
			})
		})
	}
}

// After a RevokeAll that could not delete keys from the shared cache, a call on any
// instance deletes them.
func TestRevokeAllAgainElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, st := &memoryShared{}, memstore.New()
		opts := &apikey.Options{SharedCache: shared, CacheTTL: 10 * time.Minute}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		wantValid(t, a, issued)
		shared.wantEntry(t, issued)
		shared.fail(func(op string) error {
			if op == "Delete" {
				return errDown
			}
			return nil
		})
		if n, err := a.RevokeAll(t.Context(), "o", ""); n != 1 || !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("RevokeAll whose deletion fails: got %d, %v, want 1 and ErrNotPropagated", n, err)
		}
		shared.fail(nil)
		if n, err := b.RevokeAll(t.Context(), "o", ""); n != 0 || err != nil || shared.has(issued) {
			t.Errorf("RevokeAll on another instance: got %d, %v, entry in the shared cache = %t, want the entry deleted", n, err, shared.has(issued))
		}
	})
}
