package simulation_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A ledger is the store with the history of all records.
type ledger struct {
	kept *memstore.Store

	mu       sync.Mutex
	history  map[store.Digest][]version
	seen     map[int]map[store.Digest]time.Duration // when a call reached a key in the store, by the call's number
	excesses []string
	calls    map[string]int
}

// A version is a record and the time since which it is stored.
type version struct {
	at     time.Duration
	record store.Record
}

func newLedger() *ledger {
	return &ledger{
		kept: memstore.New(), history: map[store.Digest][]version{}, seen: map[int]map[store.Digest]time.Duration{}, calls: map[string]int{},
	}
}

type callKey struct{}

// callOf returns the number of the Manager's call that caused this one, or -1.
func callOf(ctx context.Context) int {
	if n, ok := ctx.Value(callKey{}).(int); ok {
		return n
	}
	return -1
}

// A storeView is one instance's access to the store.
type storeView struct {
	store.Store
	w *world
	i *instance
}

// before simulates sending a call to the store, which takes time and may fail.
func (v *storeView) before(ctx context.Context, name string, about any) error {
	l := v.w.ledger
	l.mu.Lock()
	id := fmt.Sprint(name, v.i.n, about)
	l.calls[id]++
	n := l.calls[id]
	l.mu.Unlock()
	v.w.note(v.i, "asks the store ", id, " ", n)
	switch {
	case v.i.isDead() || v.w.broken(v.i, storeError):
		return v.w.fail(ctx, id, n)
	case v.w.broken(v.i, storeHang):
		<-ctx.Done()
		return ctx.Err()
	case v.w.broken(v.i, storeSlow):
		if err := v.w.pause(ctx, callTimeout*3/4, id, n, "slow"); err != nil {
			return err
		}
	}
	return v.w.pause(ctx, 20*time.Millisecond, id, n, "there")
}

// after simulates returning the result to the caller.
func (v *storeView) after(ctx context.Context, name string, about any) error {
	if err := v.w.pause(ctx, 20*time.Millisecond, name, v.i.n, about, v.w.now(), "back"); err != nil {
		return err
	}
	if v.i.isDead() {
		return errFault
	}
	v.w.note(v.i, "has the result of ", name, " ", about)
	if name == "lookup" {
		v.i.answered(0, v.w.now())
	}
	return nil
}

// write runs a write and records the resulting records, at one time.
func (v *storeView) write(ctx context.Context, name, owner string, do func(context.Context) ([]store.Record, error)) error {
	about := fmt.Sprint(owner, " ", callOf(ctx))
	if v.w.broken(v.i, storeLate) {
		late := time.Duration(v.w.chance(name, v.i.n, about, v.w.now()) % uint64(callTimeout))
		<-v.w.after(callTimeout+late, name, v.i.n, about)
		ctx = context.WithoutCancel(ctx)
	} else if err := v.before(ctx, name, about); err != nil {
		return err
	}
	l := v.w.ledger
	l.mu.Lock()
	records, err := do(ctx)
	l.keep(v.w, callOf(ctx), owner, records, err == nil && name == "revoke all")
	l.mu.Unlock()
	v.w.note(v.i, "wrote ", name, " ", about, ": ", records, err)
	if err != nil {
		return err
	}
	if v.w.broken(v.i, storeLost) {
		return errFault
	}
	return v.after(ctx, name, about)
}

// keep records the results of a write, and the keys that it reached: those that it returned,
// and for RevokeAll also those that were revoked before.
func (l *ledger) keep(w *world, call int, owner string, records []store.Record, all bool) {
	now := w.now()
	if l.seen[call] == nil {
		l.seen[call] = map[store.Digest]time.Duration{}
	}
	for _, r := range records {
		l.history[r.Digest] = append(l.history[r.Digest], version{now, r.Clone()})
		l.seen[call][r.Digest] = now
	}
	for d, versions := range l.history {
		if all && versions[0].record.Owner == owner {
			l.seen[call][d] = now
		}
	}
	l.checkLimit(w, owner, now)
}

// works reports whether the key is not revoked.
func (l *ledger) works(d store.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	versions := l.history[d]
	return len(versions) > 0 && versions[len(versions)-1].record.IsCurrent(time.Now())
}

func (v *storeView) Insert(ctx context.Context, r store.Record, limit int) error {
	return v.write(ctx, "insert", r.Owner, func(ctx context.Context) ([]store.Record, error) {
		err := v.Store.Insert(ctx, r, limit)
		if err != nil {
			return nil, err
		}
		return []store.Record{r}, nil
	})
}

func (v *storeView) Update(ctx context.Context, owner, id string, c store.Change) (r store.Record, err error) {
	err = v.write(ctx, "update", owner, func(ctx context.Context) ([]store.Record, error) {
		if r, err = v.Store.Update(ctx, owner, id, c); err != nil {
			return nil, err
		}
		return []store.Record{r}, nil
	})
	return r, err
}

func (v *storeView) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r store.Record, changed bool, err error) {
	err = v.write(ctx, "revoke", owner, func(ctx context.Context) ([]store.Record, error) {
		if r, changed, err = v.Store.Revoke(ctx, owner, id, at, reason); err != nil {
			return nil, err
		}
		return []store.Record{r}, nil
	})
	return r, changed, err
}

func (v *storeView) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) (all []store.Record, err error) {
	err = v.write(ctx, "revoke all", owner, func(ctx context.Context) ([]store.Record, error) {
		all, err = v.Store.RevokeAll(ctx, owner, at, reason)
		return all, err
	})
	return all, err
}

func (v *storeView) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, now store.Record, err error) {
	err = v.write(ctx, "rotate", owner, func(ctx context.Context) ([]store.Record, error) {
		if old, now, err = v.Store.Rotate(ctx, owner, id, next, ends, limit); err != nil {
			return nil, err
		}
		return []store.Record{old, now}, nil
	})
	return old, now, err
}

func (v *storeView) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	if err := v.before(ctx, "lookup", d); err != nil {
		return store.Record{}, err
	}
	r, err := v.Store.Lookup(ctx, d)
	if failed := v.after(ctx, "lookup", d); failed != nil {
		return store.Record{}, failed
	}
	return r, err
}

func (v *storeView) Get(ctx context.Context, owner, id string) (store.Record, error) {
	about := fmt.Sprint(id, " ", callOf(ctx))
	if err := v.before(ctx, "get", about); err != nil {
		return store.Record{}, err
	}
	r, err := v.Store.Get(ctx, owner, id)
	if failed := v.after(ctx, "get", about); failed != nil {
		return store.Record{}, failed
	}
	return r, err
}

func (v *storeView) Touch(ctx context.Context, uses []store.Use) error {
	if err := v.before(ctx, "touch", fmt.Sprint(len(uses), " ", callOf(ctx))); err != nil {
		return err
	}
	return v.Store.Touch(ctx, uses)
}
