package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// RevokeAll revokes all keys of an owner and returns how many it revoked, those
// revoked before not counted. Once it has returned nil, no Validate of this
// Manager that starts later accepts any of them. Keys created meanwhile may
// or may not be among them.
//
// It revokes 1,000 keys at a time, each time in a transaction with a
// [Options.CallTimeout] of its own, until none is left. If ctx ends meanwhile, it stops after the current batch at the latest.
//
// Errors are [*InvalidError], [ErrLimited] and [ErrUnavailable]. After the last,
// as many keys as it returns are revoked, and a batch more may be: call again for
// the others. After [ErrNotPropagated] all are revoked here and in the store;
// calling again tells the other instances again.
func (m *Manager) RevokeAll(ctx context.Context, owner, reason string) (n int, err error) {
	if err := checkOwner(owner); err != nil {
		return 0, err
	}
	if err := checkReason(reason); err != nil {
		return 0, err
	}
	t, err := m.enter(ctx, m.revocations, owner)
	if err != nil {
		return 0, err
	}
	defer t.leave()
	run := revokeAll{Manager: m, turn: t, owner: owner, reason: reason}
	if err := run.all(ctx); err != nil {
		m.ended.rememberEach(run.revoked)
		err = m.fail(ctx, owner, "", fmt.Errorf("%d keys are revoked, call again for the others: %w", run.n, err))
		return run.n, err
	}
	return run.n, m.notPropagated(ctx, run.unpropagated)
}

// A revokeAll is one call of RevokeAll.
type revokeAll struct {
	*Manager
	turn          *turn
	owner, reason string

	n            int            // keys revoked so far
	revoked      []store.Record // the latest of them, to remember if the call fails
	unpropagated error          // why other instances may not know of some
}

// maxInterrupted is how many keys an interrupted RevokeAll remembers, so that they
// do not displace all others.
const maxInterrupted = 10 * store.RevokeBatch

func (a *revokeAll) all(ctx context.Context) error {
	last := ""
	for {
		at := now()
		done, err := a.batch(ctx, at)
		if a.unpropagated == nil {
			a.unpropagated = done.unpropagated
		}
		if err == nil {
			err = a.check(done.value, last)
		}
		if err != nil {
			return err
		}
		for _, r := range done.value {
			a.emit(ctx, Event{Kind: EventRevoked, Time: at, Owner: a.owner, KeyID: r.ID})
		}
		a.n += len(done.value)
		a.revoked = append(a.revoked, done.value...)
		if len(a.revoked) > maxInterrupted {
			a.revoked = slices.Clone(a.revoked[store.RevokeBatch:])
		}
		if len(done.value) < store.RevokeBatch {
			return nil
		}
		if last = done.value[0].ID; ctx.Err() != nil {
			// The error says that there is more to do.
			_, _ = a.keys.Change(context.WithoutCancel(ctx), nil, []cache.Key{ownerKey(a.owner)}, alreadyWritten)
			return ctx.Err()
		}
	}
}

// check refuses what a store that works cannot return. One that returned the same
// batch for ever would never let the loop end.
func (a *revokeAll) check(revoked []store.Record, last string) error {
	for _, r := range revoked {
		if genuine(r, a.owner, r.ID) != nil || r.RevokedAt.IsZero() || r.ID == last {
			return errForged
		}
	}
	return nil
}

// batch is one call of the store behind the fence of the owner's keys. The fence
// stays up until the call has returned, also if it is given up before. The other
// instances are notified after the last batch, and after one that may have happened.
func (a *revokeAll) batch(ctx context.Context, at time.Time) (changed[[]store.Record], error) {
	return propagate(ctx, a.Manager, a.turn, func(ctx context.Context) (done changed[[]store.Record], err error) {
		done.unpropagated, err = a.keys.Change(ctx, nil, []cache.Key{ownerKey(a.owner)}, func(ctx context.Context) (tell bool, err error) {
			done.value, err = bounded(ctx, a.Manager, func(ctx context.Context) ([]store.Record, error) {
				a.uses.flushOwner(ctx, a.owner)
				revoked, err := a.store.RevokeAll(ctx, a.owner, at, a.reason)
				if err == nil {
					a.ended.rememberAll(a.owner, at, a.reason, revoked)
				}
				return revoked, err
			})
			return err != nil || len(done.value) < store.RevokeBatch, err
		})
		undeleted := a.forget(ctx, done.value, err)
		done.unpropagated = errors.Join(undeleted, done.unpropagated)
		return done, err
	})
}

// forget deletes the keys of a batch from the shared cache. It deletes all keys of the
// owner if the batch failed, since it may have revoked some, and if an earlier call could
// not delete the keys that it had revoked.
func (a *revokeAll) forget(ctx context.Context, revoked []store.Record, err error) error {
	if a.opts.SharedCache == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // the caller's time may be over, but the change is made
	if first := a.n == 0; err != nil || first && a.undeleted.has(a.owner) {
		err = a.forgetAll(ctx)
		a.undeleted.set(a.owner, err != nil)
		return err
	}
	if err = a.forgetKeys(ctx, revoked); err != nil {
		a.undeleted.set(a.owner, true)
	}
	return err
}

// undeletedOwners are the owners whose revoked keys may still be in the shared cache.
type undeletedOwners struct {
	mu     sync.Mutex
	owners recent[string, struct{}]
}

func (u *undeletedOwners) has(owner string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.owners.get(owner)
	return ok
}

func (u *undeletedOwners) set(owner string, undeleted bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if undeleted {
		u.owners.set(owner, struct{}{})
	} else {
		u.owners.remove(owner)
	}
}

// listTime bounds how long forgetAll lists keys.
const listTime = 2 * time.Second

// forgetAll removes all keys of the owner, in every state.
func (a *revokeAll) forgetAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	q := store.Query{Owner: a.owner}
	for {
		page, err := ask(ctx, a.Manager, func(ctx context.Context) (store.Page, error) { return a.store.List(ctx, q) })
		if err != nil {
			return fmt.Errorf("shared cache: list the owner's keys: %w", err)
		}
		if err := a.forgetKeys(ctx, page.Records); err != nil {
			return err
		}
		if q.After = page.Next; q.After.IsZero() || len(page.Records) == 0 {
			return nil
		}
	}
}

func (a *revokeAll) forgetKeys(ctx context.Context, records []store.Record) error {
	if len(records) == 0 {
		return nil
	}
	keys := make([]cache.Key, len(records))
	for i := range records {
		keys[i] = cache.Key(records[i].Digest)
	}
	_, err := askShared(ctx, a.Manager, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.opts.SharedCache.Delete(ctx, keys...)
	})
	if err != nil {
		return fmt.Errorf("shared cache: delete: %w", err)
	}
	return nil
}
