package apikey_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A memoryBus moves messages within the process.
type memoryBus struct {
	publish atomic.Pointer[func(ctx context.Context) error] // replaces Publish, if set
	named   atomic.Int64                                    // messages other than heartbeats

	mu    sync.Mutex
	lines map[chan string]context.CancelFunc
}

func (b *memoryBus) fail(f func(ctx context.Context) error) { b.publish.Store(&f) }
func (b *memoryBus) restore()                               { b.publish.Store(nil) }

// heartbeat is the length of a heartbeat, which invalidates nothing.
const heartbeat = 107

func (b *memoryBus) Publish(ctx context.Context, message string) error {
	return b.send(ctx, message, nil)
}

// send sends the message to all lines or, if only is not nil, to that line.
func (b *memoryBus) send(ctx context.Context, message string, only chan string) error {
	if f := b.publish.Load(); f != nil {
		return (*f)(ctx)
	}
	if len(message) > heartbeat {
		b.named.Add(1)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range b.lines {
		if only == nil || line == only {
			line <- message
		}
	}
	return nil
}

func (b *memoryBus) Receive(ctx context.Context, ready func(echo func(context.Context, string) error), deliver func(string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	line := make(chan string, 10_000)
	b.mu.Lock()
	if b.lines == nil {
		b.lines = map[chan string]context.CancelFunc{}
	}
	b.lines[line] = cancel
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.lines, line)
		b.mu.Unlock()
	}()
	ready(func(ctx context.Context, message string) error { return b.send(ctx, message, line) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case message := <-line:
			deliver(message)
		}
	}
}

// cut ends all connections.
func (b *memoryBus) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, cancel := range b.lines {
		cancel()
	}
}

var errBus = errors.New("the broker is gone")

func refuse(context.Context) error { return errBus }

// settle waits until the Managers receive each other's heartbeats.
func settle() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

// A verb is a management call that revokes or changes a key.
type verb struct {
	name string
	call func(ctx context.Context, m *apikey.Manager, k apikey.Key) error
	want error // result of a later validation
}

func verbs() []verb {
	yes, name := true, "another"
	meta := map[string]string{"a": "b"}
	update := func(p apikey.UpdateParams) func(context.Context, *apikey.Manager, apikey.Key) error {
		return func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Update(ctx, k.Owner, k.ID, p)
			return err
		}
	}
	rotate := func(grace time.Duration) func(context.Context, *apikey.Manager, apikey.Key) error {
		return func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			issued, err := m.Rotate(ctx, k.Owner, k.ID, grace)
			if err == nil && !issued.Propagated {
				err = apikey.ErrNotPropagated // as the other verbs return it
			}
			return err
		}
	}
	in := time.Now().Add(time.Hour)
	return []verb{
		{"Revoke", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Revoke(ctx, k.Owner, k.ID, "")
			return err
		}, apikey.ErrRevoked},
		{"RevokeAll", func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.RevokeAll(ctx, k.Owner, "")
			return err
		}, apikey.ErrRevoked},
		{"Rotate", rotate(0), apikey.ErrRevoked},
		{"Rotate with grace", rotate(time.Hour), nil},
		{"disable", update(apikey.UpdateParams{Disabled: &yes}), apikey.ErrDisabled},
		{"rename", update(apikey.UpdateParams{Name: &name}), nil},
		{"scopes", update(apikey.UpdateParams{Scopes: []string{"other"}}), nil},
		{"metadata", update(apikey.UpdateParams{Metadata: meta}), nil},
		{"expiry", update(apikey.UpdateParams{ExpiresAt: &in}), nil},
	}
}

// Invariant 3, C-04: another Manager sees every change at once.
func TestChangesReachOtherInstances(t *testing.T) {
	for n := range verbs() {
		t.Run(verbs()[n].name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt := verbs()[n]
				bus, st := &memoryBus{}, &spyStore{Store: memstore.New()}
				opts := &apikey.Options{Bus: bus, CacheTTL: time.Hour}
				a, b := newManager(t, st, opts), newManager(t, st, opts)
				issued := create(t, a, "o")
				others := []apikey.Issued{create(t, a, "another"), create(t, a, "a third")}
				settle()
				if bus.named.Load() != 0 {
					t.Error("Create was published, though no other Manager can have cached the key")
				}
				wantValid(t, b, issued)
				for _, other := range others {
					wantValid(t, b, other)
				}
				if err := tt.call(t.Context(), a, issued.Key); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := bus.named.Load(); got != 1 {
					t.Errorf("published invalidations: got %d, want 1", got)
				}
				before := st.lookups.Load()
				p, err := b.Validate(t.Context(), issued.Secret.Reveal())
				if !errors.Is(err, tt.want) || st.lookups.Load() == before {
					t.Errorf("the other Manager: got %v, want %v from the store", err, tt.want)
				}
				if want, err := a.Get(t.Context(), "o", issued.Key.ID); err == nil && p != nil && (p.Key().Name != want.Name ||
					!p.Key().ExpiresAt.Equal(want.ExpiresAt) || !slices.Equal(p.Key().Scopes, want.Scopes) || p.Key().Metadata["a"] != want.Metadata["a"]) {
					t.Errorf("key of the other Manager: got %+v, want %+v", p.Key(), want)
				}
				before = st.lookups.Load()
				for _, other := range others {
					wantValid(t, b, other)
				}
				// One in 16,384 keys shares its epoch with the changed key.
				if st.lookups.Load() > before+1 {
					t.Error("keys of other owners were invalidated")
				}
			})
		})
	}
}

// C-09: a token that another Manager has cached as unknown is valid there as soon as it
// is registered.
func TestRegisterReachesOtherInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, st := &memoryBus{}, memstore.New()
		opts := &apikey.Options{Bus: bus, NegativeTTL: time.Hour}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, newManager(t, memstore.New(), nil), "o")
		settle()
		wantRefused(t, b, issued, apikey.ErrUnknown)
		if _, err := a.Register(t.Context(), apikey.RegisterParams{
			CreateParams: apikey.CreateParams{Owner: "o", Name: "n"}, Digest: apikey.DigestOf(issued.Secret.Reveal()), Hint: issued.Key.Hint,
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := b.Validate(t.Context(), issued.Secret.Reveal()); err != nil {
			t.Errorf("Validate by another Manager just after Register: %v", err)
		}
	})
}

// A change that was made but could not be published returns its result together with
// ErrNotPropagated. It takes effect in this Manager.
func TestNotPropagated(t *testing.T) {
	for _, broken := range []struct {
		name    string
		publish func(context.Context) error
	}{
		{"refuses", refuse},
		{"hangs", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{"is hangs", func(context.Context) error { time.Sleep(time.Minute); return nil }},
		{"panics", func(context.Context) error { panic("boom") }},
		{"exits", func(context.Context) error { runtime.Goexit(); return nil }},
		{"returns a refusal", func(context.Context) error { return apikey.ErrRevoked }},
		{"returns an error that panics", func(context.Context) error { return (*typedNil)(nil) }},
	} {
		t.Run(broken.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, bus, yes := t.Context(), &memoryBus{}, true
				var seen recorder
				m := newManager(t, memstore.New(), &apikey.Options{Bus: bus, OnEvent: seen.record, MaxKeysPerOwner: -1})
				revoked, disabled, rotated, graced, all := create(t, m, "o"), create(t, m, "o"), create(t, m, "o"), create(t, m, "o"), create(t, m, "all")
				settle()
				for _, i := range []apikey.Issued{revoked, disabled, rotated, graced, all} {
					wantValid(t, m, i)
				}
				bus.fail(broken.publish)
				seen.take()
				check := func(call string, err error, kind apikey.EventKind) {
					t.Helper()
					if !errors.Is(err, apikey.ErrNotPropagated) || !errors.Is(err, apikey.ErrUnavailable) || apikey.StatusCode(err) != 503 {
						t.Errorf("%s: got %v, want ErrNotPropagated, which matches ErrUnavailable and is 503", call, err)
					}
					for _, not := range []error{apikey.ErrUnauthenticated, apikey.ErrForbidden, apikey.ErrNotFound, apikey.ErrConflict} {
						if errors.Is(err, not) {
							t.Errorf("%s: %v matches %v", call, err, not)
						}
					}
					if events := seen.take(); len(events) != 1 || events[0].Kind != kind {
						t.Errorf("%s: got the events %+v, want one of kind %s", call, events, kind)
					}
				}
				// A call never returns both a token and an error.
				checkRotated := func(call string, issued apikey.Issued, err error, kind apikey.EventKind) {
					t.Helper()
					if err != nil || issued.Propagated || issued.Secret.Reveal() == "" {
						t.Errorf("%s: got propagated = %t, %v, want a token, false and no error", call, issued.Propagated, err)
					}
					if events := seen.take(); len(events) != 1 || events[0].Kind != kind {
						t.Errorf("%s: got the events %+v, want one of kind %s", call, events, kind)
					}
				}
				k, err := m.Revoke(ctx, "o", revoked.Key.ID, "leaked")
				check("Revoke", err, apikey.EventRevoked)
				if k.ID != revoked.Key.ID || k.RevokeReason != "leaked" || k.RevokedAt.IsZero() {
					t.Errorf("Revoke: got the key %+v", k)
				}
				wantRefused(t, m, revoked, apikey.ErrRevoked)
				seen.take()
				k, err = m.Update(ctx, "o", disabled.Key.ID, apikey.UpdateParams{Disabled: &yes})
				check("Update", err, apikey.EventUpdated)
				if k.ID != disabled.Key.ID || k.DisabledAt.IsZero() {
					t.Errorf("Update: got the key %+v", k)
				}
				wantRefused(t, m, disabled, apikey.ErrDisabled)
				seen.take()
				next, err := m.Rotate(ctx, "o", rotated.Key.ID, 0)
				checkRotated("Rotate", next, err, apikey.EventRotated)
				wantRefused(t, m, rotated, apikey.ErrRevoked)
				wantValid(t, m, next)
				seen.take()
				next, err = m.Rotate(ctx, "o", graced.Key.ID, time.Hour)
				checkRotated("Rotate with grace", next, err, apikey.EventRotated)
				wantValid(t, m, graced)
				wantValid(t, m, next)
				seen.take()
				n, err := m.RevokeAll(ctx, "all", "")
				check("RevokeAll", err, apikey.EventRevoked)
				if n != 1 {
					t.Errorf("keys revoked by RevokeAll: got %d, want 1", n)
				}
				wantRefused(t, m, all, apikey.ErrRevoked)
				seen.take()
				other := create(t, newManager(t, memstore.New(), nil), "o")
				k, err = m.Register(ctx, apikey.RegisterParams{
					CreateParams: apikey.CreateParams{Owner: "o", Name: "n"}, Digest: apikey.DigestOf(other.Secret.Reveal()), Hint: other.Key.Hint,
				})
				// Other Managers refuse the token for at most NegativeTTL.
				if err != nil || k.ID == "" {
					t.Errorf("Register: got %+v, %v, want the key and no error", k, err)
				}
				if _, err := m.Validate(ctx, other.Secret.Reveal()); err != nil {
					t.Errorf("Validate after Register: %v", err)
				}
				if _, err := m.Create(ctx, apikey.CreateParams{Owner: "o", Name: "n"}); err != nil {
					t.Errorf("Create, which is not published: %v", err)
				}
				// Another call publishes the change again.
				bus.restore()
				time.Sleep(2 * time.Minute)
				before := bus.named.Load()
				k, err = m.Revoke(ctx, "o", revoked.Key.ID, "again")
				if err != nil || k.RevokeReason != "leaked" || bus.named.Load() != before+1 {
					t.Errorf("second Revoke: got %+v, %v and %d messages, want the first reason and 1 message", k, err, bus.named.Load()-before)
				}
			})
		})
	}
}

// A change that may have been made is published. A change that was certainly not made is not
// published.
func TestUncertainChangesArePublished(t *testing.T) {
	const fine, sentinel, failed, lost, panics, hangs = "fine", "sentinel", "failed", "result lost", "panics", "hangs"
	for _, how := range []string{fine, sentinel, failed, lost, panics, hangs} {
		for n := range 4 { // the calls that end a key
			v := verbs()[n]
			t.Run(how+"/"+v.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus, st := &memoryBus{}, &spyStore{Store: memstore.New()}
					endings := func(op string) bool { return op == "Revoke" || op == "RevokeAll" || op == "Rotate" }
					var broken atomic.Bool
					st.before = func(op string) error {
						switch {
						case !endings(op) || !broken.Load():
						case how == sentinel && op != "RevokeAll":
							return store.ErrNotFound
						case how == failed:
							return errDown
						case how == panics:
							panic("boom")
						}
						return nil
					}
					st.after = func(op string) {
						switch {
						case !endings(op) || !broken.Load():
						case how == lost:
							panic("connection lost")
						case how == hangs: // after the write
							time.Sleep(20 * time.Second)
						}
					}
					opts := &apikey.Options{Bus: bus}
					a, b := newManager(t, st, opts), newManager(t, st, opts)
					issued := create(t, a, "o")
					settle()
					wantValid(t, b, issued)
					broken.Store(true)
					_ = v.call(t.Context(), a, issued.Key)
					want := int64(1)
					if how == sentinel && v.name != "RevokeAll" {
						want = 0
					}
					time.Sleep(30 * time.Second)
					if got := bus.named.Load(); got != want {
						t.Errorf("published invalidations: got %d, want %d", got, want)
					}
					if how != sentinel && how != failed && how != panics {
						if _, err := b.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, v.want) {
							t.Errorf("another Manager: got %v, want %v", err, v.want)
						}
					}
					broken.Store(false)
				})
			})
		}
	}
}

// If the store writes after CallTimeout, the change is published when the store returns.
func TestLateChangeIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, st := &memoryBus{}, &hangingStore{Store: memstore.New()}
		opts := &apikey.Options{Bus: bus, CacheTTL: time.Hour}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		settle()
		wantValid(t, b, issued)
		st.hangs.Store(true)
		if _, err := a.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("Revoke with a store that hangs: got %v, want ErrUnavailable alone", err)
		}
		wantValid(t, b, issued) // not revoked yet
		time.Sleep(time.Minute)
		synctest.Wait()
		wantRefused(t, a, issued, apikey.ErrRevoked)
		wantRefused(t, b, issued, apikey.ErrRevoked)
		st.hangs.Store(false)
		time.Sleep(2 * time.Minute) // until last-used times are written
	})
}

// Invariant 3, R-11: while the bus is down, other instances see a change after 10 s. They
// see it at once when the bus is back.
func TestBusOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, st := &memoryBus{}, memstore.New()
		opts := &apikey.Options{Bus: bus, CacheTTL: time.Hour}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		settle()
		wantValid(t, b, issued)
		bus.fail(refuse)
		bus.cut()
		time.Sleep(4 * time.Second)
		wantValid(t, b, issued)
		if _, err := a.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("Revoke without a bus: got %v, want ErrNotPropagated", err)
		}
		time.Sleep(10 * time.Second)
		wantRefused(t, b, issued, apikey.ErrRevoked)

		issued = create(t, a, "o")
		wantValid(t, b, issued)
		if _, err := a.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("Revoke without a bus: got %v, want ErrNotPropagated", err)
		}
		bus.restore()
		time.Sleep(1100 * time.Millisecond) // a heartbeat
		wantRefused(t, b, issued, apikey.ErrRevoked)
	})
}

// Close returns before its context ends, even if the bus hangs. Validations still work.
func TestCloseWithABus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, st := &memoryBus{}, memstore.New()
		m, err := apikey.New(st, &apikey.Options{Bus: bus})
		if err != nil {
			t.Fatal(err)
		}
		issued := create(t, m, "o")
		settle()
		wantValid(t, m, issued)
		bus.fail(func(context.Context) error { time.Sleep(time.Minute); return errBus })
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("Close during a Publish that hangs: got %v after %v, want its deadline of 1 s", err, time.Since(began))
		}
		time.Sleep(time.Minute)
		for range 2 {
			if err := m.Close(t.Context()); err != nil {
				t.Errorf("second Close: %v", err)
			}
		}
		wantValid(t, m, issued)
		if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("Revoke after Close: got %v, want ErrNotPropagated", err)
		}
		wantRefused(t, m, issued, apikey.ErrRevoked)
	})
}

// New refuses a nil pointer in an interface, and accepts a nil interface.
func TestNilBusAndShared(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  apikey.Options
		field string
	}{
		{"no bus and no shared cache", apikey.Options{}, ""},
		{"nil pointer as a bus", apikey.Options{Bus: (*memoryBus)(nil)}, "Bus"},
		{"nil pointer as a shared cache", apikey.Options{SharedCache: (*memoryShared)(nil)}, "SharedCache"},
	} {
		m, err := apikey.New(memstore.New(), &tt.opts)
		var invalid *apikey.InvalidError
		if errors.As(err, &invalid) != (tt.field != "") || invalid != nil && invalid.Field != tt.field {
			t.Errorf("%s: New = %v, want an InvalidError of %q, or nil if it is empty", tt.name, err, tt.field)
		}
		if err == nil {
			_ = m.Close(t.Context())
		}
	}
	var bus cache.Bus
	var shared cache.Shared
	issued := create(t, newManager(t, memstore.New(), &apikey.Options{Bus: bus, SharedCache: shared}), "o")
	if !strings.HasPrefix(issued.Secret.Reveal(), "key_") {
		t.Error("a Manager without a bus and a shared cache does not work")
	}
}
