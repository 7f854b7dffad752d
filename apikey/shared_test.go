package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
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

// A memoryShared is a shared cache in memory. It can inject faults.
type memoryShared struct {
	mu     sync.Mutex
	items  map[cache.Key]sharedEntry
	leases map[string]sharedEntry
	next   int

	gets, sets, deletes atomic.Int64
	before              func(op string) error            // called first; its error is the call's result
	alterItem           func(item cache.Item) cache.Item // changes the items that Get returns
}

type sharedEntry struct {
	item  cache.Item
	key   cache.Key
	since time.Time
	ends  time.Time
}

func (s *memoryShared) call(op string, calls *atomic.Int64) error {
	calls.Add(1)
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		return before(op)
	}
	return nil
}

func (s *memoryShared) fail(before func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// alter sets a function that changes the items that Get returns.
func (s *memoryShared) alter(alterItem func(item cache.Item) cache.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterItem = alterItem
}

func (s *memoryShared) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	if err := s.call("Get", &s.gets); err != nil {
		return cache.Item{}, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.items[key]; ok && time.Now().Before(kept.ends) {
		item := kept.item
		item.Age = time.Since(kept.since)
		if s.alterItem != nil {
			item = s.alterItem(item)
		}
		return item, "", nil
	}
	s.next++
	lease := fmt.Sprint("lease ", s.next)
	if s.leases == nil {
		s.leases = map[string]sharedEntry{}
	}
	s.leases[lease] = sharedEntry{key: key, since: time.Now()}
	return cache.Item{}, lease, cache.ErrMiss
}

func (s *memoryShared) Set(ctx context.Context, key cache.Key, lease string, item cache.Item, ttl time.Duration) error {
	if err := s.call("Set", &s.sets); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.leases[lease]
	if !ok || of.key != key || time.Since(of.since) > cache.MaxLease {
		return nil
	}
	if s.items == nil {
		s.items = map[cache.Key]sharedEntry{}
	}
	s.items[key] = sharedEntry{item: item, since: of.since, ends: of.since.Add(ttl)}
	return nil
}

func (s *memoryShared) Delete(ctx context.Context, keys ...cache.Key) error {
	if err := s.call("Delete", &s.deletes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.items, key)
		for lease, of := range s.leases {
			if of.key == key {
				delete(s.leases, lease)
			}
		}
	}
	return nil
}

// has reports whether the shared cache has an entry of the key, without the faults.
func (s *memoryShared) has(i apikey.Issued) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.items[cache.Key(apikey.DigestOf(i.Secret.Reveal()))]
	return ok
}

// wantEntry waits for the writes in the background, and fails the test unless the shared
// cache then has an entry of the key.
func (s *memoryShared) wantEntry(t *testing.T, i apikey.Issued) {
	t.Helper()
	synctest.Wait()
	if !s.has(i) {
		t.Fatal("the shared cache has no entry of the key")
	}
}

// A key that one Manager has looked up needs no look-up by another.
func TestSharedSavesLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, st := &memoryShared{}, &spyStore{Store: memstore.New()}
		opts := &apikey.Options{SharedCache: shared, MaxKeysPerOwner: -1}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		yes, ctx := true, t.Context()
		valid, revoked, disabled := create(t, a, "o"), create(t, a, "o"), create(t, a, "o")
		expiring, err := a.Create(ctx, apikey.CreateParams{
			Owner: "o", Name: "<&>\u2028", CreatedBy: "me", Scopes: []string{"a:b"}, Metadata: map[string]string{"k": "v"}, ExpiresAt: time.Now().Add(20 * time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = a.Revoke(ctx, "o", revoked.Key.ID, "")
		_, _ = a.Update(ctx, "o", disabled.Key.ID, apikey.UpdateParams{Disabled: &yes})
		time.Sleep(time.Minute + cache.MaxLease) // recently changed keys are not read from the shared cache
		unknown := create(t, newManager(t, memstore.New(), nil), "o")
		all := []struct {
			name   string
			issued apikey.Issued
			want   error
		}{
			{"valid", valid, nil}, {"revoked", revoked, apikey.ErrRevoked}, {"disabled", disabled, apikey.ErrDisabled},
			{"expiring", expiring, nil}, {"unknown", unknown, apikey.ErrUnknown},
		}
		var keys []apikey.Key
		for _, m := range []*apikey.Manager{a, b} {
			before := st.lookups.Load()
			for _, tt := range all {
				p, err := m.Validate(ctx, tt.issued.Secret.Reveal())
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
				}
				if p != nil {
					keys = append(keys, p.Key())
				}
			}
			asked := st.lookups.Load() - before
			if want := int64(len(all)); m == a && asked != want || m == b && asked != 0 {
				t.Errorf("look-ups in the store: got %d, want %d by the first Manager and none by the second", asked, want)
			}
			synctest.Wait() // until the shared cache has the entries
		}
		for n := range len(keys) / 2 {
			if got, want := fmt.Sprintf("%+v", keys[n+len(keys)/2]), fmt.Sprintf("%+v", keys[n]); got != want {
				t.Errorf("from the shared cache: got\n%s\nwant, as from the store,\n%s", got, want)
			}
		}
	})
}

// Entries are written to the shared cache in the background: a slow shared cache never delays a
// request, and only a bounded number of writes waits for it. Close waits for them.
func TestSharedIsWrittenInBackground(t *testing.T) {
	const most, callTime = 256, 400 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		shared := &memoryShared{}
		m := newManager(t, memstore.New(), &apikey.Options{SharedCache: shared, MaxKeysPerOwner: -1})
		shared.fail(func(op string) error {
			if op == "Set" {
				time.Sleep(callTime)
			}
			return nil
		})
		time.Sleep(time.Second) // until the count of revocations is there
		shared.sets.Store(0)
		began := time.Now()
		for range most + 10 {
			wantValid(t, m, create(t, m, "o"))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("%d validations of new keys took %v, want no wait for the shared cache", most+10, took)
		}
		synctest.Wait()
		if sets := shared.sets.Load(); sets != most {
			t.Errorf("concurrent writes to the shared cache: got %d, want at most %d", sets, most)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < callTime {
			t.Errorf("Close returned after %v, want at least the %v that the writes take", took, callTime)
		}
	})
}

// The age of an entry counts: a key that was in the shared cache for 40 s is cached for
// at most another 20 s. An absence is cached for NegativeTTL in all.
func TestSharedEntriesKeepTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, st := &memoryShared{}, memstore.New()
		opts := &apikey.Options{SharedCache: shared}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued, unknown := create(t, a, "o"), create(t, newManager(t, memstore.New(), nil), "o")
		wantValid(t, a, issued)
		wantRefused(t, a, unknown, apikey.ErrUnknown)
		time.Sleep(4 * time.Second)
		wantRefused(t, b, unknown, apikey.ErrUnknown)
		time.Sleep(36 * time.Second)
		wantValid(t, b, issued)
		// A change in the store that is not published.
		if _, _, err := st.Revoke(t.Context(), "o", issued.Key.ID, time.Now(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		wantRefused(t, b, issued, apikey.ErrRevoked)

		shared.alter(func(item cache.Item) cache.Item { item.Age = time.Hour; return item })
		second := create(t, a, "o")
		wantValid(t, a, second)
		_, _, _ = st.Revoke(t.Context(), "o", second.Key.ID, time.Now(), "")
		wantRefused(t, b, second, apikey.ErrRevoked) // an entry that is older than its TTL is not used
	})
}

// C-12, C-06: a look-up that began before a revocation does not fill the shared cache
// after it.
func TestSharedIsNotFilledAfterRevocation(t *testing.T) {
	for n := range 5 { // the calls that revoke or change a key
		v := verbs()[n]
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := verbs()[n]
				shared, reading, resume := &memoryShared{}, make(chan struct{}), make(chan struct{})
				var slow atomic.Bool
				st := &spyStore{Store: memstore.New()}
				st.after = func(op string) {
					if op == "Lookup" && slow.CompareAndSwap(true, false) {
						close(reading)
						<-resume
					}
				}
				opts := &apikey.Options{SharedCache: shared}
				a, b, c := newManager(t, st, opts), newManager(t, st, opts), newManager(t, st, opts)
				issued := create(t, a, "o")
				slow.Store(true)
				early := make(chan error)
				go func() {
					_, err := b.Validate(t.Context(), issued.Secret.Reveal())
					early <- err
				}()
				<-reading
				if err := v.call(t.Context(), a, issued.Key); err != nil {
					t.Fatal(err)
				}
				close(resume)
				if err := <-early; err != nil {
					t.Errorf("the validation that began before the revocation: got %v, want the key as it was then", err)
				}
				synctest.Wait()
				if shared.sets.Load() != 1 || shared.has(issued) {
					t.Errorf("got %d fills and old entry in the shared cache = %t, want 1 and false", shared.sets.Load(), shared.has(issued))
				}
				if _, err := c.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, v.want) {
					t.Errorf("a third Manager: got %v, want %v", err, v.want)
				}
			})
		})
	}
}

// C-01 with a shared cache: a load during a revocation does not use the old entry of the
// shared cache. The entry is deleted within the fence, so that no later load finds it.
func TestSharedIsDeletedWithinFence(t *testing.T) {
	name := "another name" // a Manager remembers revocations, but not names
	for what, change := range map[string]func(t *testing.T, a *apikey.Manager, id string) error{
		"revoked": func(t *testing.T, a *apikey.Manager, id string) error {
			_, err := a.Revoke(t.Context(), "o", id, "")
			return err
		},
		"renamed": func(t *testing.T, a *apikey.Manager, id string) error {
			_, err := a.Update(t.Context(), "o", id, apikey.UpdateParams{Name: &name})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			shared, st := &memoryShared{}, memstore.New()
			opts := &apikey.Options{SharedCache: shared, CacheTTL: time.Hour}
			a := newManager(t, st, opts)
			issued := create(t, a, "o")
			wantValid(t, a, issued)
			shared.wantEntry(t, issued)
			deleting := make(chan struct{})
			begun := sync.OnceFunc(func() { close(deleting) }) // the count is set again after the delete
			shared.fail(func(op string) error {
				if op == "Delete" {
					begun()
					time.Sleep(100 * time.Millisecond)
				}
				return nil
			})
			changed := make(chan error)
			go func() { changed <- change(t, a, issued.Key.ID) }()
			check := func(when string) {
				p, err := a.Validate(t.Context(), issued.Secret.Reveal())
				if what == "revoked" && !errors.Is(err, apikey.ErrRevoked) || what == "renamed" && (err != nil || p.Key().Name != name) {
					t.Errorf("a validation of a key that was %s, %s: got %v, want the key as in the store", what, when, err)
				}
			}
			<-deleting
			check("while the shared cache deletes its entry")
			if err := <-changed; err != nil {
				t.Fatal(err)
			}
			check("when the shared cache has dropped the entry")
			if what == "revoked" && shared.has(issued) {
				t.Error("the shared cache has the old entry of a revoked key")
			}
		})
	}
}

// Invariant 13, R-12: a broken shared cache does not make a key valid that the store
// refuses, and no validation fails because of it.
func TestBrokenShared(t *testing.T) {
	edit := func(pattern, text string) func(cache.Item) cache.Item {
		return func(item cache.Item) cache.Item {
			old := regexp.MustCompile(pattern)
			if len(old.FindAll(item.Value, -1)) != 1 {
				panic(fmt.Sprintf("%s does not match %s once", item.Value, pattern))
			}
			item.Value = old.ReplaceAllLiteral(item.Value, []byte(text))
			return item
		}
	}
	add := func(field string) func(cache.Item) cache.Item {
		return func(item cache.Item) cache.Item {
			item.Value = fmt.Appendf(nil, "%s,%s}", bytes.TrimSuffix(item.Value, []byte("}")), field)
			return item
		}
	}
	value := func(b string) func(cache.Item) cache.Item {
		return func(item cache.Item) cache.Item { item.Value = []byte(b); return item }
	}
	for _, tt := range []struct {
		name   string
		before func(op string) error
		got    func(cache.Item) cache.Item
	}{
		{"fails", func(string) error { return errDown }, nil},
		{"fails with the cache's error, wrapped", func(string) error { return fmt.Errorf("%w", cache.ErrMiss) }, nil},
		{"fails with not found", func(string) error { return cache.ErrNotFound }, nil},
		{"fails with the store's not found", func(string) error { return store.ErrNotFound }, nil},
		{"fails with an error that panics", func(string) error { return (*typedNil)(nil) }, nil},
		{"panics", func(string) error { panic("boom") }, nil},
		{"panics with nil", func(string) error { panic(nil) }, nil},
		{"exits", func(string) error { runtime.Goexit(); return nil }, nil},
		{"hangs", func(string) error { time.Sleep(time.Hour); return nil }, nil},
		{"nothing", nil, value("")},
		{"garbage", nil, value("garbage")},
		{"null", nil, value("null")},
		{"an empty record", nil, value("{}")},
		{"half a record", nil, func(item cache.Item) cache.Item { item.Value = item.Value[:len(item.Value)/2]; return item }},
		{"trailing data", nil, func(item cache.Item) cache.Item {
			item.Value = append(bytes.Clone(item.Value), '}')
			return item
		}},
		{"another version", nil, edit(`"v":1`, `"v":2`)},
		{"no version", nil, edit(`"v":1,`, "")},
		{"an unknown field", nil, add(`"suspended":true`)},
		{"another digest", nil, edit(`"digest":"[0-9a-f]{64}"`, `"digest":"`+strings.Repeat("0", 64)+`"`)},
		{"a short digest", nil, edit(`"digest":"[0-9a-f]{64}"`, `"digest":"0000"`)},
		{"no owner", nil, edit(`"owner":"o"`, `"owner":""`)},
		{"no id", nil, edit(`"id":"[^"]+"`, `"id":""`)},
		{"an expiry before any clock", nil, add(`"expires_at":-9223372036854775808`)},
		{"an expiry after any clock", nil, add(`"expires_at":9223372036854775807`)},
		{"a revocation in the year 1", nil, add(`"revoked_at":-62135596800000000`)},
		{"a time that is not a number", nil, add(`"revoked_at":"yesterday"`)},
		{"older than its TTL", nil, func(item cache.Item) cache.Item { item.Age = time.Hour; return item }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, st := &memoryShared{}, &spyStore{Store: memstore.New()}
				opts := &apikey.Options{SharedCache: shared}
				a, b := newManager(t, st, opts), newManager(t, st, opts)
				issued := create(t, a, "o")
				wantValid(t, a, issued)
				shared.wantEntry(t, issued)
				shared.fail(tt.before)
				shared.alter(tt.got)
				// A change in the store that does not reach the shared cache.
				if _, _, err := st.Store.Revoke(t.Context(), "o", issued.Key.ID, time.Now(), ""); err != nil {
					t.Fatal(err)
				}
				unknown := create(t, newManager(t, memstore.New(), nil), "o")
				began := time.Now()
				wantRefused(t, b, issued, apikey.ErrRevoked)
				wantRefused(t, b, unknown, apikey.ErrUnknown)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("two validations with a shared cache that %s took %v, want half a second for each of its calls", tt.name, took)
				}
				second := create(t, b, "o")
				wantValid(t, b, second)
				time.Sleep(2 * time.Hour) // until the calls that hang have returned
			})
		})
	}
}

// An absence that the shared cache invents refuses a key for at most NegativeTTL.
func TestSharedForgesAnAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &memoryShared{}
		st := memstore.New()
		opts := &apikey.Options{SharedCache: shared}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		wantValid(t, a, issued)
		shared.wantEntry(t, issued)
		shared.alter(func(item cache.Item) cache.Item { return cache.Item{Absent: true, Value: item.Value} })
		wantRefused(t, b, issued, apikey.ErrUnknown)
		shared.alter(nil)
		time.Sleep(5 * time.Second)
		wantValid(t, b, issued)
	})
}

// If the shared cache cannot delete an entry, the change returns ErrNotPropagated. Managers
// that know of the change do not use the entry before it has expired.
func TestSharedCannotDelete(t *testing.T) {
	for _, how := range []struct {
		name   string
		delete func() error
	}{
		{"fails", func() error { return errDown }},
		{"panics", func() error { panic("boom") }},
		{"hangs", func() error { time.Sleep(time.Minute); return nil }},
		{"exits", func() error { runtime.Goexit(); return nil }},
	} {
		for n := range 5 {
			name := verbs()[n].name
			t.Run(how.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := verbs()[n]
					bus, shared, st := &memoryBus{}, &memoryShared{}, &spyStore{Store: memstore.New()}
					opts := &apikey.Options{SharedCache: shared, Bus: bus, CacheTTL: 10 * time.Minute}
					a, b := newManager(t, st, opts), newManager(t, st, opts)
					issued := create(t, a, "o")
					settle()
					wantValid(t, a, issued)
					wantValid(t, b, issued)
					shared.wantEntry(t, issued)
					shared.fail(func(op string) error {
						if op == "Delete" {
							return how.delete()
						}
						return nil
					})
					before := bus.named.Load()
					began := time.Now()
					err := v.call(t.Context(), a, issued.Key)
					if !errors.Is(err, apikey.ErrNotPropagated) || time.Since(began) > time.Second {
						t.Errorf("%s: got %v after %v, want ErrNotPropagated within a second", name, err, time.Since(began))
					}
					synctest.Wait()
					if bus.named.Load() != before+1 {
						t.Error("the change was not published on the bus, though only the shared cache failed")
					}
					for range 11 { // until the entry has expired
						for _, m := range []*apikey.Manager{a, b} {
							if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, v.want) {
								t.Fatalf("Validate %v after %s: got %v, want %v, although the shared cache has the old entry", time.Since(began), name, err, v.want)
							}
						}
						time.Sleep(time.Minute - 2*time.Second)
						bus.cut() // which invalidates the Managers' caches
						settle()
					}
				})
			})
		}
	}
}

// A second RevokeAll, after the first one could not be published, invalidates all keys,
// even those that the first call revoked.
func TestRevokeAllAgainDeletesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, st := &memoryShared{}, memstore.New()
		opts := &apikey.Options{SharedCache: shared}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		one, two := create(t, a, "o"), create(t, a, "o")
		wantValid(t, b, one)
		wantValid(t, b, two)
		shared.wantEntry(t, one)
		shared.wantEntry(t, two)
		shared.fail(func(op string) error {
			if op == "Delete" {
				return errDown
			}
			return nil
		})
		if n, err := a.RevokeAll(t.Context(), "o", ""); n != 2 || !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("RevokeAll while the shared cache fails: got %d, %v, want 2 and ErrNotPropagated", n, err)
		}
		shared.fail(nil)
		if n, err := a.RevokeAll(t.Context(), "o", ""); n != 0 || err != nil {
			t.Errorf("second RevokeAll: got %d, %v, want 0 and no error", n, err)
		}
		c := newManager(t, st, opts)
		wantRefused(t, c, one, apikey.ErrRevoked)
		wantRefused(t, c, two, apikey.ErrRevoked)
	})
}

// with a shared cache, RevokeAll does not list the owner's ended keys.
func TestRevokeAllListsNoEndedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int64
		st := &spyStore{Store: memstore.New(), before: func(op string) error {
			if op == "List" {
				lists.Add(1)
			}
			return nil
		}}
		m := newManager(t, st, &apikey.Options{SharedCache: &memoryShared{}})
		create(t, m, "o")
		if n, err := m.RevokeAll(t.Context(), "o", ""); n != 1 || err != nil || lists.Load() > 0 {
			t.Errorf("RevokeAll: got %d, %v and %d List calls, want 1 key and no List", n, err, lists.Load())
		}
	})
}

// Rotate returns its token even if the bus and the shared cache hang.
func TestRotateReturnsTokenUnpropagated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, shared := &memoryBus{}, &memoryShared{}
		m := newManager(t, memstore.New(), &apikey.Options{Bus: bus, SharedCache: shared})
		issued := create(t, m, "o")
		settle()
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		bus.fail(hang)
		shared.fail(func(string) error { time.Sleep(time.Minute); return nil }) // ignores its context
		next, err := m.Rotate(t.Context(), "o", issued.Key.ID, 0)
		if err != nil || next.Secret.Reveal() == "" || next.Propagated {
			t.Errorf("Rotate while bus and shared cache hang: got %q, propagated = %t, %v, want the new token, false and no error", next.Key.Hint, next.Propagated, err)
		}
		shared.fail(nil)
		bus.restore()
		time.Sleep(2 * time.Minute)
		wantValid(t, m, next)
	})
}

// While the bus is down, the shared cache is not used, since its entries could not be
// invalidated.
func TestSharedIsNotUsedWithoutBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, shared, st := &memoryBus{}, &memoryShared{}, &spyStore{Store: memstore.New()}
		bus.fail(refuse)
		m := newManager(t, st, &apikey.Options{SharedCache: shared, Bus: bus})
		issued := create(t, m, "o")
		settle()
		wantValid(t, m, issued)
		if shared.gets.Load() != 0 || shared.sets.Load() != 0 || st.lookups.Load() != 1 {
			t.Errorf("without a bus: got %d Gets and %d Sets of the shared cache and %d look-ups, want 0, 0 and 1", shared.gets.Load(), shared.sets.Load(), st.lookups.Load())
		}
		bus.restore()
		settle()
		time.Sleep(10 * time.Second) // until entries that were cached without the bus have expired
		wantValid(t, m, issued)
		synctest.Wait()
		if shared.gets.Load() != 1 || shared.sets.Load() != 1 {
			t.Errorf("with a bus: got %d Gets and %d Sets of the shared cache, want 1 of each", shared.gets.Load(), shared.sets.Load())
		}
	})
}

// A change whose result was lost may have been made, so its entry is deleted from the
// shared cache.
func TestSharedIsDeletedAfterUncertainWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, st := &memoryShared{}, &spyStore{Store: memstore.New()}
		opts := &apikey.Options{SharedCache: shared, CacheTTL: time.Hour}
		a, c := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		wantValid(t, a, issued)
		shared.wantEntry(t, issued)
		st.after = func(op string) {
			if op == "Revoke" {
				panic("connection lost")
			}
		}
		if _, err := a.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("Revoke: got %v, want ErrUnavailable", err)
		}
		if shared.has(issued) {
			t.Error("the shared cache has the entry of a key that may have changed")
		}
		wantRefused(t, a, issued, apikey.ErrRevoked)
		wantRefused(t, c, issued, apikey.ErrRevoked)
	})
}

// A record that JSON cannot hold unchanged does not enter the shared cache.
func TestSharedHoldsOnlyUTF8(t *testing.T) {
	shared := &memoryShared{}
	st := &brokenStore{Store: memstore.New(), lookup: func(r store.Record) (store.Record, error) {
		r.Metadata = map[string]string{"k": "\xff\xfe"}
		return r, nil
	}}
	opts := &apikey.Options{SharedCache: shared}
	a, b := newManager(t, st, opts), newManager(t, st, opts)
	issued := create(t, a, "o")
	for _, m := range []*apikey.Manager{a, b} {
		if p := wantValid(t, m, issued); p.Key().Metadata["k"] != "\xff\xfe" {
			t.Errorf("metadata: got %q, want the same as in the store", p.Key().Metadata["k"])
		}
	}
	for _, m := range []*apikey.Manager{a, b} { // which ends the writes
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if shared.has(issued) {
		t.Error("a record that is not UTF-8 was put into the shared cache, which would change it")
	}
}
