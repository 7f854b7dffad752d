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

// A memoryLevel is a second level as it should be, but for its faults.
type memoryLevel struct {
	mu     sync.Mutex
	items  map[cache.Key]levelItem
	leases map[string]levelItem
	next   int

	gets, sets, deletes atomic.Int64
	before              func(op string) error            // what an error of is the call's answer
	got                 func(item cache.Item) cache.Item // what Get says instead
}

type levelItem struct {
	item  cache.Item
	key   cache.Key
	since time.Time
	ends  time.Time
}

func (l *memoryLevel) call(op string, calls *atomic.Int64) error {
	calls.Add(1)
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before != nil {
		return before(op)
	}
	return nil
}

func (l *memoryLevel) fail(before func(op string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = before
}

// alter makes Get return what got makes of an entry.
func (l *memoryLevel) alter(got func(item cache.Item) cache.Item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = got
}

func (l *memoryLevel) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	if err := l.call("Get", &l.gets); err != nil {
		return cache.Item{}, "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept, ok := l.items[key]; ok && time.Now().Before(kept.ends) {
		item := kept.item
		item.Age = time.Since(kept.since)
		if l.got != nil {
			item = l.got(item)
		}
		return item, "", nil
	}
	l.next++
	lease := fmt.Sprint("lease ", l.next)
	if l.leases == nil {
		l.leases = map[string]levelItem{}
	}
	l.leases[lease] = levelItem{key: key, since: time.Now()}
	return cache.Item{}, lease, cache.ErrMiss
}

func (l *memoryLevel) Set(ctx context.Context, key cache.Key, lease string, item cache.Item, ttl time.Duration) error {
	if err := l.call("Set", &l.sets); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of, ok := l.leases[lease]
	if !ok || of.key != key || time.Since(of.since) > cache.MaxLease {
		return nil
	}
	if l.items == nil {
		l.items = map[cache.Key]levelItem{}
	}
	l.items[key] = levelItem{item: item, since: of.since, ends: of.since.Add(ttl)}
	return nil
}

func (l *memoryLevel) Delete(ctx context.Context, keys ...cache.Key) error {
	if err := l.call("Delete", &l.deletes); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		delete(l.items, key)
		for lease, of := range l.leases {
			if of.key == key {
				delete(l.leases, lease)
			}
		}
	}
	return nil
}

// holds is what the level has of a key, whatever it says.
func (l *memoryLevel) holds(i apikey.Issued) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.items[cache.Key(apikey.DigestOf(i.Secret.Reveal()))]
	return ok
}

// What one Manager has looked up, another one need not.
func TestLevelIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level, st := &memoryLevel{}, &spyStore{Store: memstore.New()}
		opts := &apikey.Options{SharedCache: level, MaxKeysPerOwner: -1}
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
		time.Sleep(time.Minute + cache.MaxLease) // what was changed lately is not asked about
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
					t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
				}
				if p != nil {
					keys = append(keys, p.Key())
				}
			}
			asked := st.lookups.Load() - before
			if want := int64(len(all)); m == a && asked != want || m == b && asked != 0 {
				t.Errorf("%d look-ups into the store, want %d for the first Manager and none for the second", asked, want)
			}
		}
		for n := range len(keys) / 2 {
			if got, want := fmt.Sprintf("%+v", keys[n+len(keys)/2]), fmt.Sprintf("%+v", keys[n]); got != want {
				t.Errorf("from the level:\n%s, want as from the store:\n%s", got, want)
			}
		}
	})
}

// An age counts: what has been in the level for 40 s lives for 20 s more at most,
// and an absence no longer than NegativeTTL in all.
func TestLevelItemsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level, st := &memoryLevel{}, memstore.New()
		opts := &apikey.Options{SharedCache: level}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued, unknown := create(t, a, "o"), create(t, newManager(t, memstore.New(), nil), "o")
		wantValid(t, a, issued)
		wantRefused(t, a, unknown, apikey.ErrUnknown)
		time.Sleep(4 * time.Second)
		wantRefused(t, b, unknown, apikey.ErrUnknown)
		time.Sleep(36 * time.Second)
		wantValid(t, b, issued)
		// Changed behind everybody's back, as a Manager does that has no bus.
		if _, _, err := st.Revoke(t.Context(), "o", issued.Key.ID, time.Now(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		wantRefused(t, b, issued, apikey.ErrRevoked)

		level.alter(func(item cache.Item) cache.Item { item.Age = time.Hour; return item })
		second := create(t, a, "o")
		wantValid(t, a, second)
		_, _, _ = st.Revoke(t.Context(), "o", second.Key.ID, time.Now(), "")
		wantRefused(t, b, second, apikey.ErrRevoked) // an item of an hour is not believed
	})
}

// C-12, C-06: a look-up that read before a revocation keeps nothing in the level
// after it.
func TestLevelIsNotFilledAfterARevocation(t *testing.T) {
	for n := range 5 { // the calls that end or change a key
		v := verbs()[n]
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := verbs()[n]
				level, reading, resume := &memoryLevel{}, make(chan struct{}), make(chan struct{})
				var slow atomic.Bool
				st := &spyStore{Store: memstore.New()}
				st.after = func(op string) {
					if op == "Lookup" && slow.CompareAndSwap(true, false) {
						close(reading)
						<-resume
					}
				}
				opts := &apikey.Options{SharedCache: level}
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
					t.Errorf("the validation that began before: %v, want it answered as of then", err)
				}
				if level.sets.Load() != 1 || level.holds(issued) {
					t.Errorf("%d fills; the level holds the key as it was: %t", level.sets.Load(), level.holds(issued))
				}
				if _, err := c.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, v.want) {
					t.Errorf("a third Manager answers %v, want %v", err, v.want)
				}
			})
		})
	}
}

// C-01 with a level: what is loaded while a key is being revoked is not from the
// level as it was before. The level forgets within the fence, so that whoever
// comes after it finds nothing old.
func TestLevelForgetsWithinTheFence(t *testing.T) {
	name := "another name" // is not remembered, as the end of a key is
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
			level, st := &memoryLevel{}, memstore.New()
			opts := &apikey.Options{SharedCache: level, CacheTTL: time.Hour}
			a := newManager(t, st, opts)
			issued := create(t, a, "o")
			wantValid(t, a, issued)
			if !level.holds(issued) {
				t.Fatal("the level was not filled")
			}
			synctest.Wait() // the count of revocations has been put into the level
			deleting := make(chan struct{})
			begun := sync.OnceFunc(func() { close(deleting) }) // the count goes there again after it
			level.fail(func(op string) error {
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
					t.Errorf("a validation of a key that was %s, %s: got %v: want it as in the store", what, when, err)
				}
			}
			<-deleting
			check("while the level forgets")
			if err := <-changed; err != nil {
				t.Fatal(err)
			}
			check("when the level has forgotten")
			if what == "revoked" && level.holds(issued) {
				t.Error("the level holds a revoked key as it was")
			}
		})
	}
}

// Invariant 13, R-12: whatever a level does, it admits nobody whom the store does
// not, and no validation fails for it.
func TestBrokenLevel(t *testing.T) {
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
		{"fails with an answer", func(string) error { return cache.ErrNotFound }, nil},
		{"fails with a verdict", func(string) error { return store.ErrNotFound }, nil},
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
		{"something behind the record", nil, func(item cache.Item) cache.Item {
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
		{"a time that is no number", nil, add(`"revoked_at":"yesterday"`)},
		{"older than it may be", nil, func(item cache.Item) cache.Item { item.Age = time.Hour; return item }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				level, st := &memoryLevel{}, &spyStore{Store: memstore.New()}
				opts := &apikey.Options{SharedCache: level}
				a, b := newManager(t, st, opts), newManager(t, st, opts)
				issued := create(t, a, "o")
				wantValid(t, a, issued)
				level.fail(tt.before)
				level.alter(tt.got)
				// As somebody does who cannot tell the level.
				if _, _, err := st.Store.Revoke(t.Context(), "o", issued.Key.ID, time.Now(), ""); err != nil {
					t.Fatal(err)
				}
				unknown := create(t, newManager(t, memstore.New(), nil), "o")
				began := time.Now()
				wantRefused(t, b, issued, apikey.ErrRevoked)
				wantRefused(t, b, unknown, apikey.ErrUnknown)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("two validations beside a level that %s took %v, want half a second for each call of it", tt.name, took)
				}
				second := create(t, b, "o")
				wantValid(t, b, second)
				time.Sleep(2 * time.Hour) // until what hangs has ended
			})
		})
	}
}

// An absence that the level makes up refuses, and that for no longer than
// NegativeTTL.
func TestLevelForgesAnAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level := &memoryLevel{}
		st := memstore.New()
		opts := &apikey.Options{SharedCache: level}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		wantValid(t, a, issued)
		level.alter(func(item cache.Item) cache.Item { return cache.Item{Absent: true, Value: item.Value} })
		wantRefused(t, b, issued, apikey.ErrUnknown)
		level.alter(nil)
		time.Sleep(5 * time.Second)
		wantValid(t, b, issued)
	})
}

// A level that cannot forget is told of, and what it may hold is not believed
// by whoever knows of the change, until it has ended.
func TestLevelCannotForget(t *testing.T) {
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
					bus, level, st := &memoryBus{}, &memoryLevel{}, &spyStore{Store: memstore.New()}
					opts := &apikey.Options{SharedCache: level, Bus: bus, CacheTTL: 10 * time.Minute}
					a, b := newManager(t, st, opts), newManager(t, st, opts)
					issued := create(t, a, "o")
					settle()
					wantValid(t, a, issued)
					wantValid(t, b, issued)
					if !level.holds(issued) {
						t.Fatal("the level was not filled")
					}
					level.fail(func(op string) error {
						if op == "Delete" {
							return how.delete()
						}
						return nil
					})
					before := bus.named.Load()
					began := time.Now()
					err := v.call(t.Context(), a, issued.Key)
					if !errors.Is(err, apikey.ErrNotPropagated) || time.Since(began) > time.Second {
						t.Errorf("%s: %v after %v, want ErrNotPropagated within a second", name, err, time.Since(began))
					}
					synctest.Wait()
					if bus.named.Load() != before+1 {
						t.Error("the others were not told by the bus, though the level alone has failed")
					}
					for range 11 { // until what is in the level has ended
						for _, m := range []*apikey.Manager{a, b} {
							if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, v.want) {
								t.Fatalf("Validate %v after %s: %v, want %v: the level still holds what was before", time.Since(began), name, err, v.want)
							}
						}
						time.Sleep(time.Minute - 2*time.Second)
						bus.cut() // which ends what is in memory
						settle()
					}
				})
			})
		}
	}
}

// RevokeAll, called again after others could not be told, tells of all keys, also
// of those that the first call had revoked.
func TestRevokeAllAgainForgetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level, st := &memoryLevel{}, memstore.New()
		opts := &apikey.Options{SharedCache: level}
		a, b := newManager(t, st, opts), newManager(t, st, opts)
		one, two := create(t, a, "o"), create(t, a, "o")
		wantValid(t, b, one)
		wantValid(t, b, two)
		level.fail(func(op string) error {
			if op == "Delete" {
				return errDown
			}
			return nil
		})
		if n, err := a.RevokeAll(t.Context(), "o", ""); n != 2 || !errors.Is(err, apikey.ErrNotPropagated) {
			t.Errorf("RevokeAll that the level does not hear of = %d, %v, want 2 and ErrNotPropagated", n, err)
		}
		level.fail(nil)
		if n, err := a.RevokeAll(t.Context(), "o", ""); n != 0 || err != nil {
			t.Errorf("RevokeAll again = %d, %v, want 0 and no error", n, err)
		}
		c := newManager(t, st, opts)
		wantRefused(t, c, one, apikey.ErrRevoked)
		wantRefused(t, c, two, apikey.ErrRevoked)
	})
}

// with a shared cache, RevokeAll does not read the owner's ended keys.
func TestRevokeAllListsNoEndedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int64
		st := &spyStore{Store: memstore.New(), before: func(op string) error {
			if op == "List" {
				lists.Add(1)
			}
			return nil
		}}
		m := newManager(t, st, &apikey.Options{SharedCache: &memoryLevel{}})
		for _, want := range []int{1, 0} {
			if want > 0 {
				create(t, m, "o")
			}
			if n, err := m.RevokeAll(t.Context(), "o", ""); n != want || err != nil || lists.Load() > 0 {
				t.Errorf("RevokeAll = %d, %v and listed keys %d times, want %d and never", n, err, lists.Load(), want)
			}
		}
	})
}

// A rotation is done and its token there, however long others take to hear.
func TestRotateKeepsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, level := &memoryBus{}, &memoryLevel{}
		m := newManager(t, memstore.New(), &apikey.Options{Bus: bus, SharedCache: level})
		issued := create(t, m, "o")
		settle()
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		bus.fail(hang)
		level.fail(func(string) error { time.Sleep(time.Minute); return nil }) // whatever its context says
		next, err := m.Rotate(t.Context(), "o", issued.Key.ID, 0)
		if err != nil || next.Secret.Reveal() == "" || next.Propagated {
			t.Errorf("Rotate while bus and level hang: %q, propagated %t, %v, want the new token, false and no error", next.Key.Hint, next.Propagated, err)
		}
		level.fail(nil)
		bus.mend()
		time.Sleep(2 * time.Minute)
		wantValid(t, m, next)
	})
}

// While the bus is lost, the level is not asked: nobody could end what was taken
// from it.
func TestLevelIsNotAskedWithoutTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, level, st := &memoryBus{}, &memoryLevel{}, &spyStore{Store: memstore.New()}
		bus.fail(refuse)
		m := newManager(t, st, &apikey.Options{SharedCache: level, Bus: bus})
		issued := create(t, m, "o")
		settle()
		wantValid(t, m, issued)
		if level.gets.Load() != 0 || level.sets.Load() != 0 || st.lookups.Load() != 1 {
			t.Errorf("%d Gets and %d Sets of the level without a bus, %d look-ups, want 0, 0 and 1", level.gets.Load(), level.sets.Load(), st.lookups.Load())
		}
		bus.mend()
		settle()
		time.Sleep(10 * time.Second) // what was cached without the bus expires
		wantValid(t, m, issued)
		if level.gets.Load() != 1 || level.sets.Load() != 1 {
			t.Errorf("%d Gets and %d Sets of the level with a bus, want 1 of each", level.gets.Load(), level.sets.Load())
		}
	})
}

// A change whose answer was lost may have happened: the level forgets then, too.
func TestLevelForgetsWhatMayHaveHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		level, st := &memoryLevel{}, &spyStore{Store: memstore.New()}
		opts := &apikey.Options{SharedCache: level, CacheTTL: time.Hour}
		a, c := newManager(t, st, opts), newManager(t, st, opts)
		issued := create(t, a, "o")
		wantValid(t, a, issued)
		st.after = func(op string) {
			if op == "Revoke" {
				panic("connection lost")
			}
		}
		if _, err := a.Revoke(t.Context(), "o", issued.Key.ID, ""); !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("Revoke: %v, want ErrUnavailable", err)
		}
		if level.holds(issued) {
			t.Error("the level holds what may have changed")
		}
		wantRefused(t, a, issued, apikey.ErrRevoked)
		wantRefused(t, c, issued, apikey.ErrRevoked)
	})
}

// What JSON cannot carry stays out of the level.
func TestLevelTakesOnlyText(t *testing.T) {
	level := &memoryLevel{}
	st := &brokenStore{Store: memstore.New(), lookup: func(r store.Record) (store.Record, error) {
		r.Metadata = map[string]string{"k": "\xff\xfe"}
		return r, nil
	}}
	opts := &apikey.Options{SharedCache: level}
	a, b := newManager(t, st, opts), newManager(t, st, opts)
	issued := create(t, a, "o")
	for _, m := range []*apikey.Manager{a, b} {
		if p := wantValid(t, m, issued); p.Key().Metadata["k"] != "\xff\xfe" {
			t.Errorf("metadata %q, want it as it is in the store", p.Key().Metadata["k"])
		}
	}
	if level.holds(issued) {
		t.Error("a record that is not UTF-8 was put into the level, which would change it")
	}
}
