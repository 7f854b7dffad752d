package apikey_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// slowStore returns a store in which each call takes a second while slow is set. most is
// the maximum number of calls at once.
func slowStore() (st *spyStore, slow *atomic.Bool, most *atomic.Int64) {
	slow, most = new(atomic.Bool), new(atomic.Int64)
	var under atomic.Int64
	st = &spyStore{Store: memstore.New(), before: func(string) error {
		if !slow.Load() {
			return nil
		}
		defer under.Add(-1)
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(time.Second)
		return nil
	}}
	return st, slow, most
}

// C-15, invariant 16: of 1,500 writes of one owner at once, two run and the others are
// refused before the store is called. No revocation waits for them.
func TestWritesOfOneOwnerAreBounded(t *testing.T) {
	name := "renamed"
	for _, tt := range []struct {
		name  string
		write func(ctx context.Context, m *apikey.Manager, id string) error
	}{
		{"Create", func(ctx context.Context, m *apikey.Manager, _ string) error {
			_, err := m.Create(ctx, apikey.CreateParams{Owner: "o", Name: "another"})
			return err
		}},
		{"Register", func(ctx context.Context, m *apikey.Manager, id string) error {
			p := apikey.CreateParams{Owner: "o", Name: "another", IdempotencyKey: "attempt"}
			_, err := m.Register(ctx, apikey.RegisterParams{CreateParams: p, Digest: apikey.DigestOf(id), Hint: "test_1234"})
			return err
		}},
		{"Update", func(ctx context.Context, m *apikey.Manager, id string) error {
			_, err := m.Update(ctx, "o", id, apikey.UpdateParams{Name: &name})
			return err
		}},
		{"Rotate", func(ctx context.Context, m *apikey.Manager, id string) error {
			_, err := m.Rotate(ctx, "o", id, time.Hour)
			if errors.Is(err, apikey.ErrConflict) {
				return nil // another rotation has succeeded first
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, slow, most := slowStore()
				m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
				mine, others := create(t, m, "o"), create(t, m, "other")
				spare := create(t, m, "o")
				slow.Store(true)
				var refused atomic.Int64
				var all sync.WaitGroup
				for range 1_500 {
					all.Go(func() {
						began := time.Now()
						err := tt.write(t.Context(), m, mine.Key.ID)
						switch {
						case errors.Is(err, apikey.ErrLimited):
							if refused.Add(1); time.Since(began) > 0 {
								t.Errorf("a write was refused after %v, want at once", time.Since(began))
							}
						case err != nil:
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				if refused.Load() != 1_498 || most.Load() > 2 {
					t.Errorf("got %d of 1,500 writes refused and %d concurrent store calls, want 1,498 and 2", refused.Load(), most.Load())
				}
				began := time.Now()
				for owner, id := range map[string]string{"other": others.Key.ID, "o": spare.Key.ID} {
					all.Go(func() {
						if _, err := m.Revoke(t.Context(), owner, id, ""); err != nil || time.Since(began) > 2*time.Second {
							t.Errorf("Revoke for %s meanwhile: got %v after %v, want no error after 2 s", owner, err, time.Since(began))
						}
					})
				}
				all.Wait()
				if n := m.OwnersWithCalls(); n != 0 {
					t.Errorf("owners in the lanes after their calls: got %d, want 0", n)
				}
			})
		})
	}
}

// C-15: of the revocations of one owner, two run at a time and the others wait; the same holds
// for reads. Calls of other owners do not wait for them.
func TestCallsOfOneOwnerQueue(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, m *apikey.Manager, owner, id string) error
	}{
		{"Revoke", func(ctx context.Context, m *apikey.Manager, owner, id string) error {
			_, err := m.Revoke(ctx, owner, id, "")
			return err
		}},
		{"RevokeAll", func(ctx context.Context, m *apikey.Manager, owner, _ string) error {
			_, err := m.RevokeAll(ctx, owner, "")
			return err
		}},
		{"disable", func(ctx context.Context, m *apikey.Manager, owner, id string) error {
			_, err := m.Update(ctx, owner, id, apikey.UpdateParams{Disabled: &yes})
			return err
		}},
		{"Get", func(ctx context.Context, m *apikey.Manager, owner, id string) error {
			_, err := m.Get(ctx, owner, id)
			return err
		}},
		{"List", func(ctx context.Context, m *apikey.Manager, owner, _ string) error {
			_, err := m.List(ctx, apikey.ListParams{Owner: owner})
			return err
		}},
		{"Usage", func(ctx context.Context, m *apikey.Manager, owner, _ string) error {
			_, err := m.Usage(ctx, owner)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, slow, most := slowStore()
				m := newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1, CallTimeout: time.Hour})
				mine, others := create(t, m, "o"), create(t, m, "other")
				slow.Store(true)
				var done, refused atomic.Int64
				var all sync.WaitGroup
				for range 1_500 {
					all.Go(func() {
						switch err := tt.call(t.Context(), m, "o", mine.Key.ID); {
						case err == nil:
							done.Add(1)
						case errors.Is(err, apikey.ErrLimited):
							refused.Add(1)
						default:
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				if most.Load() > 2 || refused.Load() != 1_500-2-128 {
					t.Errorf("got %d concurrent store calls and %d refused calls, want 2 and 1,370", most.Load(), refused.Load())
				}
				began := time.Now()
				if err := tt.call(t.Context(), m, "other", others.Key.ID); err != nil || time.Since(began) > 2*time.Second {
					t.Errorf("another owner's call: got %v after %v, want no error after 2 s", err, time.Since(began))
				}
				all.Wait()
				if done.Load() != 2+128 || m.OwnersWithCalls() != 0 {
					t.Errorf("got %d calls done and %d owners in the lanes, want 130 and 0", done.Load(), m.OwnersWithCalls())
				}
			})
		})
	}
}

// C-15: writes of all owners together leave connections of a small pool to other calls.
func TestWritesOfAllOwnersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, slow, most := slowStore()
		m := newManager(t, st, &apikey.Options{CallTimeout: time.Hour})
		slow.Store(true)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { create(t, m, fmt.Sprint("o", i)) })
		}
		all.Wait()
		if most.Load() != 4 {
			t.Errorf("concurrent writes of 100 owners: got %d, want 4", most.Load())
		}
	})
}

// C-15: with a store of ten connections, 500 owners who list and create in loops delay
// neither look-ups of active keys nor revocations.
func TestManyOwnersLeaveConnections(t *testing.T) {
	list := func(ctx context.Context, m *apikey.Manager, owner string) {
		_, _ = m.List(ctx, apikey.ListParams{Owner: owner})
	}
	both := func(ctx context.Context, m *apikey.Manager, owner string) {
		var calls sync.WaitGroup
		calls.Go(func() { list(ctx, m, owner) })
		calls.Go(func() { _, _ = m.Create(ctx, apikey.CreateParams{Owner: owner, Name: "another"}) })
		calls.Wait()
	}
	revoke := func(ctx context.Context, m *apikey.Manager, owner string) {
		_, _ = m.Revoke(ctx, owner, "key_other", "")
	}
	for _, took := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond} {
		quietLookups, quietRevocations := timeUnderLoad(t, took, 0, nil)
		for name, call := range map[string]func(context.Context, *apikey.Manager, string){"list": list, "list and create": both, "revoke": revoke} {
			lookups, revocations := timeUnderLoad(t, took, 500, call)
			for what, ds := range map[string][2][]time.Duration{"look-ups": {quietLookups, lookups}, "revocations": {quietRevocations, revocations}} {
				if name == "revoke" && what == "revocations" {
					continue // these wait for each other
				}
				for _, p := range []int{50, 99} {
					quiet, busy := testkit.Percentile(ds[0], p), testkit.Percentile(ds[1], p)
					t.Logf("store %v, 500 owners %s: p%d of %s %v, quiet %v", took, name, p, what, busy, quiet)
					if busy > 3*quiet {
						t.Errorf("store %v, 500 owners %s: p%d of %s: got %v, want at most 3 x %v", took, name, p, what, busy, quiet)
					}
				}
			}
		}
	}
}

// timeUnderLoad returns how long the first uses of active keys, and revocations, take while
// owners call m in loops. Each store call takes the duration took.
func timeUnderLoad(t *testing.T, took time.Duration, owners int, call func(context.Context, *apikey.Manager, string)) (lookups, revocations []time.Duration) {
	const probes = 30
	synctest.Test(t, func(t *testing.T) {
		st := &pooledStore{Store: memstore.New(), connections: make(chan struct{}, 10), lookup: took, other: took}
		elsewhere, m := newManager(t, st.Store, nil), newManager(t, st, &apikey.Options{MaxKeysPerOwner: -1})
		var keys [2 * probes]apikey.Issued
		for i := range keys {
			keys[i] = create(t, elsewhere, fmt.Sprint("mine", i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var loops, probed sync.WaitGroup
		for i := range owners {
			loops.Go(func() {
				for ctx.Err() == nil {
					call(ctx, m, fmt.Sprint("o", i))
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		lookups, revocations = make([]time.Duration, probes), make([]time.Duration, probes)
		for i := range probes {
			probed.Go(func() {
				began := time.Now()
				wantValid(t, m, keys[i])
				lookups[i] = time.Since(began)
			})
			probed.Go(func() {
				began := time.Now()
				_, _ = m.Revoke(t.Context(), keys[probes+i].Key.Owner, keys[probes+i].Key.ID, "")
				revocations[i] = time.Since(began)
			})
			time.Sleep(4 * took)
		}
		probed.Wait()
		cancel()
		loops.Wait()
		time.Sleep(time.Minute) // abandoned store calls return
	})
	return lookups, revocations
}

// Invariant 9: a write that was refused before the store was called is not logged as a
// failure of the store, and many refusals are logged once.
func TestRefusedWritesAreNotOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, slow, _ := slowStore()
		var log bytes.Buffer
		m := newManager(t, st, &apikey.Options{CallTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		slow.Store(true)
		var all sync.WaitGroup
		var refused atomic.Int64
		for i := range 1100 { // 4 are carried out at a time and 1,024 wait
			all.Go(func() {
				_, err := m.Create(t.Context(), apikey.CreateParams{Owner: fmt.Sprint("o", i), Name: "test"})
				if errors.Is(err, apikey.ErrUnavailable) {
					refused.Add(1)
				} else if err != nil {
					t.Errorf("Create: got %v, want nil or ErrUnavailable", err)
				}
			})
		}
		all.Wait()
		if refused.Load() != 1100-4-1024 {
			t.Errorf("refused writes: got %d, want %d", refused.Load(), 1100-4-1024)
		}
		if strings.Contains(log.String(), "ERROR") || strings.Count(log.String(), "WARN") != 1 {
			t.Errorf("got the log %q, want one warning and no error", log.String())
		}
	})
}

// Invariant 9: while at least half of the places are held by calls that have not returned
// after CallTimeout, a call that finds no place counts as an outage. Otherwise it is an overload.
func TestHungStoreIsNotOverload(t *testing.T) {
	for hung := range 5 { // number of hanging calls; there are 4 places
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var hangs atomic.Int64
			returns := make(chan struct{})
			st := &spyStore{Store: memstore.New(), before: func(string) error {
				if hangs.Add(-1) >= 0 {
					<-returns
				}
				time.Sleep(2 * time.Second)
				return nil
			}}
			m := newManager(t, st, &apikey.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			// listAtOnce makes 30 calls, of which the first few are served or hang.
			listAtOnce := func(outage bool) {
				t.Helper()
				var refused, timedOut atomic.Int64
				var calls sync.WaitGroup
				for i := range 30 {
					calls.Go(func() {
						switch _, err := m.List(t.Context(), apikey.ListParams{Owner: fmt.Sprint("o", i)}); {
						case errors.Is(err, context.DeadlineExceeded):
							timedOut.Add(1)
						case errors.Is(err, apikey.ErrUnavailable):
							refused.Add(1)
						case err != nil:
							t.Errorf("List: got %v, want nil or ErrUnavailable", err)
						}
					})
				}
				calls.Wait()
				if outage != (timedOut.Load() >= 22) || outage != (refused.Load() == 0) {
					t.Errorf("%d of 4 places hang: got %d calls refused as an overload, %d timed out, want outage = %t", hung, refused.Load(), timedOut.Load(), outage)
				}
			}
			hangs.Store(int64(hung))
			listAtOnce(hung >= 2) // these calls start together with those that hang
			time.Sleep(time.Minute)
			log.Reset()
			listAtOnce(hung >= 2) // these calls start later
			if got := strings.Contains(log.String(), "ERROR"); got != (hung >= 2) || strings.Contains(log.String(), "WARN") == got {
				t.Errorf("%d of 4 places hang: got the log %q", hung, log.String())
			}
			close(returns)
			time.Sleep(time.Minute)
			listAtOnce(false) // the calls have returned
		})
	}
}

// Invariant 16: changes of many owners are made while the bus hangs. They do not wait for
// each other to be published.
func TestManyOwnersWhileTheBusHangs(t *testing.T) {
	name := "renamed"
	for what, change := range map[string]func(ctx context.Context, m *apikey.Manager, k apikey.Key) error{
		"Revoke": func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Revoke(ctx, k.Owner, k.ID, "leaked")
			return err
		},
		"RevokeAll": func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.RevokeAll(ctx, k.Owner, "leaked")
			return err
		},
		"Update": func(ctx context.Context, m *apikey.Manager, k apikey.Key) error {
			_, err := m.Update(ctx, k.Owner, k.ID, apikey.UpdateParams{Name: &name})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			bus := &memoryBus{}
			m := newManager(t, memstore.New(), &apikey.Options{Bus: bus})
			settle()
			var keys []apikey.Key
			for i := range 100 {
				keys = append(keys, create(t, m, fmt.Sprint("o", i)).Key)
			}
			bus.fail(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			began := time.Now()
			var all sync.WaitGroup
			for _, k := range keys {
				all.Go(func() {
					if err := change(t.Context(), m, k); !errors.Is(err, apikey.ErrNotPropagated) {
						t.Errorf("%s while the bus hangs: got %v, want ErrNotPropagated", what, err)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s by 100 owners while the bus hangs: got %v for the longest call, want at most 3 s", what, took)
			}
			bus.restore()
			time.Sleep(time.Minute)
		})
	}
}

// A call that was abandoned holds its owner's permit until it returns.
func TestAbandonedCallHoldsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, slow, _ := slowStore()
		m := newManager(t, st, &apikey.Options{CallTimeout: 100 * time.Millisecond})
		id := create(t, m, "o").Key.ID
		slow.Store(true)
		name := "renamed"
		for i, want := range []error{apikey.ErrUnavailable, apikey.ErrUnavailable, apikey.ErrLimited, apikey.ErrLimited} {
			if _, err := m.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &name}); !errors.Is(err, want) {
				t.Errorf("Update %d: got %v, want %v", i+1, err, want)
			}
		}
		time.Sleep(time.Minute)
		slow.Store(false)
		if _, err := m.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &name}); err != nil {
			t.Errorf("Update after the others have returned: %v", err)
		}
	})
}

// ErrLimited is 429 with Retry-After.
func TestLimitedIs429(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	w := httptest.NewRecorder()
	m.WriteError(w, httptest.NewRequest("GET", "/", nil), fmt.Errorf("host: %w", apikey.ErrLimited))
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("WriteError of ErrLimited: got %d, %v, want 429 with Retry-After and no challenge", w.Code, w.Header())
	}
}

// Invariant 16: a caller that hangs up does not cancel a running store call, since
// the driver would close its connection. A call that has not begun is not made.
func TestHangUpKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &heedingStore{Store: memstore.New()}
		m := newManager(t, st, nil)
		for name, call := range map[string]func(ctx context.Context) error{
			"Get": func(ctx context.Context) error { _, err := m.Get(ctx, "o", "key_x"); return err },
			"List": func(ctx context.Context) error {
				_, err := m.List(ctx, apikey.ListParams{Owner: "o"})
				return err
			},
			"Usage": func(ctx context.Context) error { _, err := m.Usage(ctx, "o"); return err },
			"Create": func(ctx context.Context) error {
				_, err := m.Create(ctx, apikey.CreateParams{Owner: "o", Name: "k"})
				return err
			},
			"Revoke":    func(ctx context.Context) error { _, err := m.Revoke(ctx, "o", "key_x", ""); return err },
			"RevokeAll": func(ctx context.Context) error { _, err := m.RevokeAll(ctx, "o", ""); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			began := time.Now()
			if err := call(ctx); !errors.Is(err, apikey.ErrUnavailable) || time.Since(began) != 100*time.Millisecond {
				t.Errorf("%s: got %v after %v, want ErrUnavailable as soon as the caller hangs up", name, err, time.Since(began))
			}
			cancel()
			time.Sleep(time.Second)
			if began, ended := st.began.Swap(0), st.ended.Swap(0); began != 1 || ended != 0 {
				t.Errorf("%s: of %[3]d store calls, the contexts of %[2]d ended with the caller's", name, ended, began)
			}
			if err := call(ctx); !errors.Is(err, apikey.ErrUnavailable) || st.began.Load() != 0 {
				t.Errorf("%s of a caller that has hung up: got %v after %d store calls", name, err, st.began.Load())
			}
		}
	})
}

// A heedingStore takes half a second for each call, and counts the calls whose context
// ends first.
type heedingStore struct {
	store.Store
	began, ended atomic.Int64
}

func (s *heedingStore) heed(ctx context.Context) error {
	s.began.Add(1)
	select {
	case <-ctx.Done():
		s.ended.Add(1)
		return errors.New("conn closed")
	case <-time.After(500 * time.Millisecond):
		return nil
	}
}

func (s *heedingStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	return store.Record{}, cmp.Or(s.heed(ctx), store.ErrNotFound)
}

func (s *heedingStore) List(ctx context.Context, _ store.Query) (store.Page, error) {
	return store.Page{}, s.heed(ctx)
}

func (s *heedingStore) Count(ctx context.Context, _ string, _ time.Time) (int, error) {
	return 0, s.heed(ctx)
}

func (s *heedingStore) Insert(ctx context.Context, _ store.Record, _ int) error { return s.heed(ctx) }

func (s *heedingStore) RevokeAll(ctx context.Context, _ string, _ time.Time, _ string) ([]store.Record, error) {
	return nil, s.heed(ctx)
}
