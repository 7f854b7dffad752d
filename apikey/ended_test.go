package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A rollbackStore can roll back to an earlier state, as a database does when a
// standby that lacks the latest writes takes over.
type rollbackStore struct {
	mu      sync.Mutex
	now     *memstore.Store
	before  int64 // revocations that the current state does not count
	lineage string
}

func newRollbackStore() *rollbackStore {
	return &rollbackStore{now: memstore.New(), lineage: rand.Text()}
}

func (s *rollbackStore) Revocations(ctx context.Context) (store.Revocations, error) {
	s.mu.Lock()
	now, before, lineage := s.now, s.before, s.lineage
	s.mu.Unlock()
	r, err := now.Revocations(ctx)
	return store.Revocations{Lineage: lineage, Count: r.Count + before}, err
}

// backup returns a function that restores the owners' records in the store to their
// current state.
func (s *rollbackStore) backup(t *testing.T, owners ...string) (restore func()) {
	t.Helper()
	counted, err := s.Revocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var records []store.Record
	for _, owner := range owners {
		q := store.Query{Owner: owner}
		for more := true; more; more = !q.After.IsZero() {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			records, q.After = append(records, page.Records...), page.Next
		}
	}
	return func() {
		before := memstore.New()
		for _, r := range records {
			if err := before.Insert(t.Context(), r, -1); err != nil {
				t.Error(err)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now, s.before = before, counted.Count
	}
}

func (s *rollbackStore) current() store.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *rollbackStore) Insert(ctx context.Context, r store.Record, limit int) error {
	return s.current().Insert(ctx, r, limit)
}

func (s *rollbackStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	return s.current().Lookup(ctx, d)
}

func (s *rollbackStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	return s.current().Get(ctx, owner, id)
}

func (s *rollbackStore) List(ctx context.Context, q store.Query) (store.Page, error) {
	return s.current().List(ctx, q)
}

func (s *rollbackStore) Count(ctx context.Context, owner string, at time.Time) (int, error) {
	return s.current().Count(ctx, owner, at)
}

func (s *rollbackStore) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	return s.current().Update(ctx, owner, id, c)
}

func (s *rollbackStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	return s.current().Revoke(ctx, owner, id, at, reason)
}

func (s *rollbackStore) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) ([]store.Record, error) {
	return s.current().RevokeAll(ctx, owner, at, reason)
}

func (s *rollbackStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, now store.Record, err error) {
	return s.current().Rotate(ctx, owner, id, next, ends, limit)
}

func (s *rollbackStore) Touch(ctx context.Context, uses []store.Use) error {
	return s.current().Touch(ctx, uses)
}

// undone collects the EventUndone events and the errors in the log.
type undone struct {
	mu   sync.Mutex
	keys []string
	log  strings.Builder // errors only
}

func (u *undone) options() *apikey.Options {
	errors := slog.New(slog.NewTextHandler(lockedWriter{&u.mu, &u.log}, &slog.HandlerOptions{Level: slog.LevelError}))
	return &apikey.Options{MaxKeysPerOwner: -1, Logger: errors, OnEvent: func(_ context.Context, e apikey.Event) {
		if e.Kind == apikey.EventUndone {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.keys = append(u.keys, e.Owner+" "+e.KeyID)
		}
	}}
}

// want fails the test unless exactly these keys of owner o were reported since the last
// call, each by an event and an error in the log.
func (u *undone) want(t *testing.T, keys ...apikey.Issued) {
	t.Helper()
	var want []string
	for _, i := range keys {
		want = append(want, "o "+i.Key.ID)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	slices.Sort(want)
	slices.Sort(u.keys)
	if !slices.Equal(u.keys, want) {
		t.Errorf("events of undone keys: got %q, want %q", u.keys, want)
	}
	if n := strings.Count(u.log.String(), "the store has undone a revocation, rotation or disabling"); n != len(want) {
		t.Errorf("got %d errors in the log, want %d", n, len(want))
	}
	u.keys = nil
	u.log.Reset()
}

// ends lists the calls that revoke or disable a key.
var ends = []struct {
	name string
	do   func(ctx context.Context, m *apikey.Manager, id string) error
	want error
}{
	{"Revoke", func(ctx context.Context, m *apikey.Manager, id string) error {
		_, err := m.Revoke(ctx, "o", id, "leaked")
		return err
	}, apikey.ErrRevoked},
	{"RevokeAll", func(ctx context.Context, m *apikey.Manager, id string) error {
		_, err := m.RevokeAll(ctx, "o", "cancelled")
		return err
	}, apikey.ErrRevoked},
	{"Rotate without grace", func(ctx context.Context, m *apikey.Manager, id string) error {
		_, err := m.Rotate(ctx, "o", id, 0)
		return err
	}, apikey.ErrRevoked},
	{"Rotate with grace", func(ctx context.Context, m *apikey.Manager, id string) error {
		_, err := m.Rotate(ctx, "o", id, time.Minute)
		time.Sleep(time.Minute)
		return err
	}, apikey.ErrExpired},
}

// invariant 1: a key that this process has revoked or disabled stays refused
// after a rollback of the store. The first look-up reports it by an event
// and an error in the log.
func TestEndedKeysOutliveTheStore(t *testing.T) {
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reports undone
				st := newRollbackStore()
				m := newManager(t, st, reports.options())
				key, other := create(t, m, "o"), create(t, m, "p")
				wantValid(t, m, key)
				restore := st.backup(t, "o", "p")
				if err := tt.do(t.Context(), m, key.Key.ID); err != nil {
					t.Fatal(err)
				}
				restore()
				wantRefused(t, m, key, tt.want)
				reports.want(t, key)
				for range 50 {
					time.Sleep(59 * time.Second)
					wantRefused(t, m, key, tt.want)
				}
				wantValid(t, m, other)
				reports.want(t) // no second report within an hour
				time.Sleep(20 * time.Hour)
				wantRefused(t, m, key, tt.want)
				reports.want(t, key)
			})
		})
	}
}

// Get and List show the key as this process changed it, and revoking it again
// writes the revocation again.
func TestUndoneKeyIsShownAsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports undone
		st := newRollbackStore()
		m := newManager(t, st, reports.options())
		key := create(t, m, "o")
		restore := st.backup(t, "o")
		if _, err := m.Revoke(t.Context(), "o", key.Key.ID, "leaked"); err != nil {
			t.Fatal(err)
		}
		restore()
		k, err := m.Get(t.Context(), "o", key.Key.ID)
		if err != nil || k.Status(time.Now()) != apikey.StatusRevoked || k.RevokeReason != "leaked" {
			t.Errorf("Get = %+v, %v, want the key revoked with its reason", k, err)
		}
		reports.want(t, key)
		page, err := m.List(t.Context(), apikey.ListParams{Owner: "o"})
		if err != nil || len(page.Keys) != 1 || page.Keys[0].Status(time.Now()) != apikey.StatusRevoked {
			t.Errorf("List = %+v, %v, want the key revoked", page, err)
		}
		enable := false
		if _, err := m.Update(t.Context(), "o", key.Key.ID, apikey.UpdateParams{Disabled: &enable}); !errors.Is(err, apikey.ErrConflict) {
			t.Errorf("Update: got %v, want ErrConflict", err)
		}
		if _, err := m.Rotate(t.Context(), "o", key.Key.ID, 0); !errors.Is(err, apikey.ErrConflict) {
			t.Errorf("Rotate: got %v, want ErrConflict", err)
		}
		if _, err := m.Revoke(t.Context(), "o", key.Key.ID, "again"); err != nil {
			t.Fatal(err)
		}
		if r, err := st.Get(t.Context(), "o", key.Key.ID); err != nil || r.RevokedAt.IsZero() {
			t.Errorf("record in the store: got %+v, %v, want the revocation written again", r, err)
		}
	})
}

// a Manager remembers each key that an interrupted RevokeAll revoked.
func TestInterruptedRevokeAllOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newRollbackStore()
		var u undone
		fails := &spyStore{Store: st}
		m := newManager(t, fails, u.options())
		var all []apikey.Issued
		for range store.RevokeBatch + 1 {
			all = append(all, create(t, m, "o"))
		}
		time.Sleep(48 * time.Hour)
		restore := st.backup(t, "o")
		calls := 0
		fails.before = func(method string) error {
			if method == "RevokeAll" {
				if calls++; calls == 2 {
					return errors.New("connection refused")
				}
			}
			return nil
		}
		n, err := m.RevokeAll(t.Context(), "o", "leaked")
		if n != store.RevokeBatch || !errors.Is(err, apikey.ErrUnavailable) {
			t.Fatalf("RevokeAll: got %d, %v, want %d and ErrUnavailable", n, err, store.RevokeBatch)
		}
		var revoked []apikey.Issued
		for _, i := range all {
			if k, err := m.Get(t.Context(), "o", i.Key.ID); err != nil || !k.RevokedAt.IsZero() {
				revoked = append(revoked, i)
			}
		}
		restore()
		time.Sleep(2 * time.Minute)
		for _, i := range revoked {
			wantRefused(t, m, i, apikey.ErrRevoked)
		}
		if len(revoked) != n {
			t.Errorf("revoked keys: got %d, want %d", len(revoked), n)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.keys) != n {
			t.Errorf("reported keys whose revocation was undone: got %d, want %d", len(u.keys), n)
		}
	})
}

// RevokeAll covers keys that were created long before it, even if another process
// had revoked them, without remembering each key. It does not cover later keys.
func TestRevokeAllOutlivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports undone
		st := newRollbackStore()
		m, other := newManager(t, st, reports.options()), newManager(t, st, nil)
		old := create(t, m, "o")
		time.Sleep(25 * time.Hour)
		restore := st.backup(t, "o")
		if _, err := other.Revoke(t.Context(), "o", old.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		if n, err := m.RevokeAll(t.Context(), "o", "cancelled"); n != 0 || err != nil {
			t.Fatalf("RevokeAll = %d, %v, want 0 and no error: all keys are revoked", n, err)
		}
		restore()
		wantRefused(t, m, old, apikey.ErrRevoked)
		reports.want(t, old)
		later := create(t, other, "o")
		wantValid(t, m, later)
	})
}

// a load that began before the revocation is not reported as a lost revocation.
func TestLoadDuringRevokeReportsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports undone
		st := &slowLookups{Store: memstore.New()}
		m := newManager(t, st, reports.options())
		key := create(t, m, "o")
		st.delay = time.Second
		go m.Validate(t.Context(), key.Secret.Reveal())
		synctest.Wait()
		if _, err := m.Revoke(t.Context(), "o", key.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		wantRefused(t, m, key, apikey.ErrRevoked)
		reports.want(t)
	})
}

// slowLookups delays the results of look-ups.
type slowLookups struct {
	store.Store
	delay time.Duration
}

func (s *slowLookups) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	r, err := s.Store.Lookup(ctx, d)
	time.Sleep(s.delay)
	return r, err
}

// a disabled key stays disabled after a rollback of the store, until
// an instance changes it. With a working bus this lasts for hours. Without a bus it ends
// after CacheTTL, since another process may have enabled the key.
func TestDisabledKeyOutlivesTheStore(t *testing.T) {
	for _, withBus := range []bool{true, false} {
		t.Run(fmt.Sprintf("bus %v", withBus), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reports undone
				st := newRollbackStore()
				opts, others := reports.options(), &apikey.Options{}
				if withBus {
					bus := &memoryBus{}
					opts.Bus, others.Bus = bus, bus
				}
				m, other := newManager(t, st, opts), newManager(t, st, others)
				key := create(t, m, "o")
				time.Sleep(6 * time.Second) // until the bus is up
				restore := st.backup(t, "o")
				setDisabled(t, m, key, true)
				restore()
				wantRefused(t, m, key, apikey.ErrDisabled)
				if _, err := m.Rotate(t.Context(), "o", key.Key.ID, time.Hour); !errors.Is(err, apikey.ErrConflict) {
					t.Errorf("Rotate of a key that this process has disabled: got %v, want ErrConflict, since its successor would work", err)
				}
				time.Sleep(59 * time.Second)
				if !withBus {
					time.Sleep(2 * time.Second)
					wantValid(t, m, key)
					return
				}
				for range 5 {
					wantRefused(t, m, key, apikey.ErrDisabled)
					time.Sleep(time.Minute)
				}
				reports.want(t, key)
				setDisabled(t, other, key, false)
				time.Sleep(time.Second)
				wantValid(t, m, key)
			})
		})
	}
}

// A mutedBus loses the messages of one instance to the others.
type mutedBus struct {
	*memoryBus
	muted atomic.Bool
}

func (b *mutedBus) Publish(ctx context.Context, message string) error {
	if b.muted.Load() {
		return nil
	}
	return b.memoryBus.Publish(ctx, message)
}

// while another instance is silent, its changes may be lost. So a key that it has
// enabled works again after CacheTTL, or ten seconds after a message shows the loss.
func TestDisabledKeyThatASilentInstanceEnables(t *testing.T) {
	for _, noticed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := memstore.New()
			bus := &memoryBus{}
			muted := &mutedBus{memoryBus: bus}
			m, other := newManager(t, st, &apikey.Options{Bus: bus}), newManager(t, st, &apikey.Options{Bus: muted})
			key := create(t, m, "o")
			time.Sleep(6 * time.Second)
			muted.muted.Store(true)
			time.Sleep(6 * time.Second)
			setDisabled(t, m, key, true)
			wantRefused(t, m, key, apikey.ErrDisabled)
			time.Sleep(time.Second)
			setDisabled(t, other, key, false)
			if noticed {
				muted.muted.Store(false)
				time.Sleep(12 * time.Second) // until the entry of the disabled key expires
			} else {
				time.Sleep(time.Minute)
			}
			wantValid(t, m, key)
		})
	}
}

// a key that is enabled again is never refused, even if the store and this process
// see two updates in different orders.
func TestEnabledKeyIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowUpdates{Store: memstore.New()}
		bus := &memoryBus{}
		m, other := newManager(t, st, &apikey.Options{Bus: bus}), newManager(t, st.Store, &apikey.Options{Bus: bus})
		key := create(t, m, "o")
		time.Sleep(6 * time.Second)
		for _, enabler := range []*apikey.Manager{m, other} {
			st.delay = time.Second
			var done sync.WaitGroup
			done.Go(func() { setDisabled(t, m, key, true) })
			synctest.Wait()
			time.Sleep(500 * time.Millisecond)
			st.delay = 0
			setDisabled(t, enabler, key, false)
			done.Wait()
			time.Sleep(time.Second)
			wantValid(t, m, key)
		}
		setDisabled(t, m, key, true)
		wantRefused(t, m, key, apikey.ErrDisabled)
		setDisabled(t, m, key, false)
		wantValid(t, m, key)
	})
}

// slowUpdates delays the results of updates.
type slowUpdates struct {
	store.Store
	delay time.Duration
}

func (s *slowUpdates) Update(ctx context.Context, owner, id string, c store.Change) (store.Record, error) {
	delay := s.delay
	r, err := s.Store.Update(ctx, owner, id, c)
	time.Sleep(delay)
	return r, err
}

func setDisabled(t *testing.T, m *apikey.Manager, i apikey.Issued, disabled bool) {
	t.Helper()
	if _, err := m.Update(t.Context(), "o", i.Key.ID, apikey.UpdateParams{Disabled: &disabled}); err != nil {
		t.Error(err)
	}
}

// the remembered keys are bounded in number and in time, and the latest ones are
// always remembered.
func TestEndedKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memstore.New(), nil)
		most := 0
		for i := range 250_000 {
			m.RememberRevoked(i)
			most = max(most, m.Remembered())
		}
		if most > 100_000 {
			t.Errorf("keys remembered at once: got %d, want at most 100,000", most)
		}
		if !m.IsRemembered(249_999) || !m.IsRemembered(200_001) || m.IsRemembered(0) {
			t.Error("got one of the latest 50,000 keys dropped, or the first one remembered")
		}
		time.Sleep(24 * time.Hour)
		m.RememberRevoked(-1)
		if !m.IsRemembered(249_999) {
			t.Error("a key was dropped before 24 hours had passed")
		}
		time.Sleep(24 * time.Hour)
		m.RememberRevoked(-2)
		if n := m.Remembered(); n > 2 {
			t.Errorf("keys remembered after two days: got %d, want the latest two", n)
		}
	})
}

// Invariant 1: the row of a key was deleted, and another key has its ID now. Revoke
// fences and revokes that key, and reports it once.
func TestRevokeOfAReusedID(t *testing.T) {
	st := newRollbackStore()
	var events recorder
	m, other := newManager(t, st, &apikey.Options{OnEvent: events.record}), newManager(t, st, nil)
	p := apikey.CreateParams{Owner: "o", Name: "ci", IdempotencyKey: "try-1"}
	first, err := m.Create(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	st.mu.Lock()
	st.now = memstore.New()
	st.mu.Unlock()
	second, err := other.Create(t.Context(), p)
	if err != nil || second.Key.ID != first.Key.ID {
		t.Fatalf("ID of the created key: got %s, %v, want %s", second.Key.ID, err, first.Key.ID)
	}
	wantValid(t, m, second)
	events.take()
	if _, err := m.Revoke(t.Context(), "o", first.Key.ID, ""); err != nil {
		t.Errorf("Revoke: got %v, want no error", err)
	}
	if got := events.take(); len(got) != 1 || got[0].Kind != apikey.EventRevoked {
		t.Errorf("events: got %v, want one revocation", got)
	}
	wantRefused(t, m, second, apikey.ErrRevoked)
}

// if the store has lost a revocation, a second Revoke of the key revokes it again and
// reports the loss.
func TestRevokeAgainReportsRollback(t *testing.T) {
	for _, own := range []bool{true, false} {
		st := newRollbackStore()
		var events recorder
		m := newManager(t, st, &apikey.Options{OnEvent: events.record})
		creator := m
		if !own {
			creator = newManager(t, st, nil)
		}
		key := create(t, creator, "o")
		restore := st.backup(t, "o")
		revokeKey(t, m, key)
		restore()
		events.take()
		revokeKey(t, m, key)
		if got := events.take(); len(got) != 2 || got[0].Kind != apikey.EventUndone || got[1].Kind != apikey.EventRevoked {
			t.Errorf("events of a second Revoke, own key %t: got %v, want %q and %q", own, got, apikey.EventUndone, apikey.EventRevoked)
		}
	}
}
