package databases_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A mixedKey is used by a program of version 1 and by a current program at the same time. Both
// programs may revoke it.
type mixedKey struct {
	store.Record
	begun, ended atomic.Bool  // whether a call that revokes the key has begun, and whether it has returned
	rotated      atomic.Int64 // how many rotations have succeeded
}

// A fleet is two versions on one database.
type fleet struct {
	t    *testing.T
	old  *version1
	now  *sqlstore.Store
	keys []*mixedKey

	lookups atomic.Int64
}

func newFleet(t *testing.T, d database) *fleet {
	dsn := d.dsn(t)
	f := &fleet{t: t, old: openVersion1(t, d, dsn)}
	db := testkit.OpenDB(t, d.driver, dsn)
	f.now = newStore(t, d.dialect, db, nil)
	return f
}

// a program with version 1 of the schema keeps working along with a current one,
// during the migration and after it. Neither accepts a revoked key or refuses an active
// one.
func TestVersionsShareADatabase(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, d)
			for i := range testkit.Scale(40, 2000) {
				k := &mixedKey{Record: record(fmt.Sprint("o", i%5), fmt.Sprint("k", i))}
				f.keys = append(f.keys, k)
				f.must(f.old.Insert(t.Context(), k.Record, -1), "Insert by version 1 before the migration")
			}
			ctx, stop := context.WithCancel(t.Context())
			var readers sync.WaitGroup
			readers.Go(func() { f.readOld(ctx) })
			together(2, func(i int) {
				if i == 0 {
					f.must(f.now.Migrate(t.Context()), "Migrate during version 1")
					return
				}
				for n := range len(f.keys) / 4 {
					f.endOld(n, n)
				}
			})
			readers.Go(func() { f.readNow(ctx) })
			together(2, func(i int) {
				for n := range f.keys {
					if i == 0 {
						f.endOld(n, n)
					} else {
						f.endNow(n, len(f.keys)-1-n)
					}
				}
			})
			stop()
			readers.Wait()
			f.checkEnded()
			t.Logf("%d keys, %d look-ups during the changes", len(f.keys), f.lookups.Load())
		})
	}
}

func (f *fleet) must(err error, what string) {
	if err != nil {
		f.t.Errorf("%s: %v", what, err)
	}
}

// endOld revokes or rotates a key with the statements of version 1, except every fourth key.
func (f *fleet) endOld(n, i int) {
	k, ctx, at := f.keys[i], f.t.Context(), epoch.Add(time.Minute)
	next := f.successor(k, "old", n)
	switch i % 4 {
	case 0:
		k.begun.Store(true)
		f.must(f.old.Revoke(ctx, k.Owner, k.ID, at), "Revoke by version 1")
		k.ended.Store(true)
	case 1:
		f.rotation(k, f.old.Rotate(ctx, k.Record, next, at.Add(time.Hour)), "Rotate by version 1")
	case 2:
		k.begun.Store(true)
		f.rotation(k, f.old.Rotate(ctx, k.Record, next, time.Time{}), "Rotate by version 1 without a grace period")
	}
}

// endNow revokes or rotates a key with the current package.
func (f *fleet) endNow(n, i int) {
	k, ctx, at := f.keys[i], f.t.Context(), epoch.Add(time.Minute)
	next := f.successor(k, "now", n)
	switch i % 4 {
	case 0:
		k.begun.Store(true)
		_, _, err := f.now.Revoke(ctx, k.Owner, k.ID, at, "by today's version")
		f.must(err, "Revoke")
		k.ended.Store(true)
	case 1:
		_, _, err := f.now.Rotate(ctx, k.Owner, k.ID, next, at.Add(time.Hour), -1)
		f.rotation(k, err, "Rotate")
	case 2:
		k.begun.Store(true)
		_, _, err := f.now.Rotate(ctx, k.Owner, k.ID, next, next.CreatedAt, -1)
		f.rotation(k, err, "Rotate without a grace period")
	}
}

func (f *fleet) successor(k *mixedKey, by string, n int) store.Record {
	next := record(k.Owner, fmt.Sprint(k.ID, "-", by, n))
	next.CreatedAt = epoch.Add(time.Minute)
	return next
}

func (f *fleet) rotation(k *mixedKey, err error, what string) {
	if err == nil {
		k.rotated.Add(1)
		k.ended.Store(k.begun.Load()) // without a grace period
	} else if !errors.Is(err, store.ErrConflict) {
		f.t.Errorf("%s: %v", what, err)
	}
}

func (f *fleet) readOld(ctx context.Context) {
	f.read(ctx, "version 1", func(k store.Record) (bool, error) { return f.old.revoked(f.t.Context(), k) })
}

func (f *fleet) readNow(ctx context.Context) {
	f.read(ctx, "today's version", f.revokedNow)
}

func (f *fleet) revokedNow(k store.Record) (bool, error) {
	r, err := f.now.Lookup(f.t.Context(), k.Digest)
	return !r.RevokedAt.IsZero(), err
}

// read compares look-ups with the revocations that had begun or returned before and after them.
func (f *fleet) read(ctx context.Context, who string, revoked func(store.Record) (bool, error)) {
	for i := 0; ctx.Err() == nil; i++ {
		k := f.keys[i%len(f.keys)]
		before := k.ended.Load()
		got, err := revoked(k.Record)
		after := k.begun.Load()
		if err != nil && refusedForOthers(err) {
			continue // an outage is not a decision
		}
		if f.lookups.Add(1); err != nil || before && !got || !after && got {
			f.t.Errorf("look-up by %s of %s: got revoked = %t, %v; a revocation had returned: %t, had begun: %t", who, k.ID, got, err, before, after)
		}
	}
}

// checkEnded compares the records with the calls that succeeded.
func (f *fleet) checkEnded() {
	for i, k := range f.keys {
		old, errOld := f.old.revoked(f.t.Context(), k.Record)
		now, errNow := f.revokedNow(k.Record)
		if want := k.ended.Load(); old != want || now != want || errOld != nil || errNow != nil {
			f.t.Errorf("%s revoked: got %t, %v by version 1, and %t, %v by the current version, want %t", k.ID, old, errOld, now, errNow, want)
		}
		if n := k.rotated.Load(); (i%4 == 1 || i%4 == 2) && n != 1 {
			f.t.Errorf("successful rotations of %s by two versions: got %d, want 1", k.ID, n)
		}
	}
}

// R-16, M-07: if two versions create keys of one owner, the limit is exact, since they wait for each
// other. Without rotations, both versions count the same keys.
func TestVersionsShareALimit(t *testing.T) {
	t.Parallel()
	const limit, creators = 5, 12
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, d)
			f.must(f.now.Migrate(t.Context()), "Migrate")
			for round := range testkit.Scale(4, 200) {
				owner := fmt.Sprint("o", round)
				var admitted atomic.Int64
				together(creators, func(i int) {
					r := record(owner, fmt.Sprint(owner, "-", i))
					var err error
					if i%2 == 0 {
						err = f.old.Insert(t.Context(), r, limit)
					} else {
						err = f.now.Insert(t.Context(), r, limit)
					}
					if err == nil {
						admitted.Add(1)
					} else if !errors.Is(err, store.ErrLimit) {
						t.Errorf("creator %d: %v", i, err)
					}
				})
				if n, m := admitted.Load(), stored(t, f.now, owner); n != limit || m != limit {
					t.Errorf("%d creators of two versions: got %d admitted and %d records stored, want %d", creators, n, m, limit)
				}
			}
		})
	}
}
