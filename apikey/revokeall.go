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

// RevokeAll revokes all keys of an owner and returns how many it revoked. Keys that were
// revoked before do not count. Once it has returned nil, no Validate of this Manager that
// starts later accepts any of them. A key that is created meanwhile may or may not be
// revoked.
//
// It revokes 1,000 keys at a time, each time in a transaction with a
// [Options.CallTimeout] of its own, until none is left. If ctx ends meanwhile, it
// stops after the current batch at the latest.
//
// Errors are [*InvalidError], [ErrLimited] and [ErrUnavailable]. After ErrUnavailable,
// n keys are revoked, and perhaps another batch: call again for the others. After
// [ErrNotPropagated], all are revoked in this process and in the store; another call
// notifies the other instances again.
func (m *Manager) RevokeAll(ctx context.Context, owner, reason string) (n int, err error) {
	if err := checkOwner(owner); err != nil {
		return 0, err
	}
	if err := checkReason(reason); err != nil {
		return 0, err
	}
	permit, err := m.admit(ctx, m.revocations, owner)
	if err != nil {
		return 0, err
	}
	defer permit.release()
	run := revokeAll{Manager: m, permit: permit, owner: owner, reason: reason}
	if err := run.all(ctx); err != nil {
		m.ended.rememberEach(run.revoked)
		err = m.fail(ctx, owner, "", fmt.Errorf("%d keys are revoked, call again for the others: %w", run.n, err))
		return run.n, err
	}
	return run.n, m.notPropagated(ctx, run.unpropagated)
}

// A revokeAll is the state of one call of RevokeAll.
type revokeAll struct {
	*Manager
	permit        *permit
	owner, reason string

	n            int            // keys revoked so far
	revoked      []store.Record // the latest of them, to remember if the call fails
	unpropagated error          // why other instances may not know of some of these revocations
}

// maxInterrupted is the maximum number of keys that an interrupted RevokeAll remembers,
// so that these keys do not displace all other remembered keys.
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
		a.n += len(done.value)
		a.revoked = append(a.revoked, done.value...)
		if len(a.revoked) > maxInterrupted {
			a.revoked = slices.Clone(a.revoked[store.RevokeBatch:])
		}
		if !isFull(done.value) {
			return nil
		}
		if last = done.value[0].ID; ctx.Err() != nil {
			return ctx.Err() // there is more to do
		}
	}
}

// check refuses records that a working store cannot return. If a store returned the same
// batch forever, the loop would never end.
func (a *revokeAll) check(revoked []store.Record, last string) error {
	for _, r := range revoked {
		if checkRecord(r, a.owner, r.ID) != nil || r.RevokedAt.IsZero() || r.ID == last {
			return errWrongRecord
		}
	}
	return nil
}

// batch makes one store call while the owner's keys are fenced. The fence stays up until
// the call has returned, even if its caller no longer waits. Each batch is published,
// since it may be the last. Only the last batch waits until the message has been sent.
func (a *revokeAll) batch(ctx context.Context, at time.Time) (changed[[]store.Record], error) {
	return callAndPublish(ctx, a.Manager, a.permit, func(ctx context.Context, stored func()) (done changed[[]store.Record], err error) {
		publishing, stopWaiting := context.WithCancel(ctx)
		defer stopWaiting()
		unpublished, err := a.keys.Change(publishing, nil, []cache.Key{ownerKey(a.owner)}, func(context.Context) (publish bool, err error) {
			done.value, err = bounded(ctx, a.Manager, stored, func(ctx context.Context) ([]store.Record, error) {
				a.uses.flushOwner(ctx, a.owner)
				revoked, err := a.store.RevokeAll(ctx, a.owner, at, a.reason)
				if err == nil {
					a.ended.rememberAll(a.owner, at, a.reason, revoked)
				}
				return revoked, err
			})
			if err == nil && isFull(done.value) {
				stopWaiting()
			}
			return true, err
		})
		if isFull(done.value) {
			unpublished = nil // the last batch reports it
		}
		done.unpropagated = errors.Join(a.deleteShared(ctx, done.value, err), unpublished)
		if err == nil {
			for _, r := range done.value {
				a.emit(ctx, Event{Kind: EventRevoked, Time: at, Owner: a.owner, KeyID: r.ID})
			}
		}
		return done, err
	})
}

// isFull reports whether there may be another batch.
func isFull(revoked []store.Record) bool { return len(revoked) >= store.RevokeBatch }

// deleteShared deletes the keys of a batch from the shared cache. A batch that failed may
// have revoked some keys. An earlier call, perhaps of another instance, may have revoked
// keys without deleting them. In both cases, deleteShared deletes all keys of the owner
// that may be in the shared cache.
func (a *revokeAll) deleteShared(ctx context.Context, revoked []store.Record, err error) error {
	if a.opts.SharedCache == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // the caller's context may have ended, but the change has been made
	failed := a.undeleted.failedAt(a.owner)
	known := time.Since(failed) < a.sharedLife()
	if err == nil && (a.n > 0 || len(revoked) > 0 && !known) {
		if err = a.deleteSharedKeys(ctx, revoked); err != nil {
			a.undeleted.add(a.owner)
		}
		return err
	}
	undeleted := a.deleteAllShared(ctx)
	switch {
	case undeleted == nil:
		a.undeleted.remove(a.owner, failed)
	case err == nil && !known:
		return nil // nothing was revoked, and no undeleted key is known
	default:
		a.undeleted.add(a.owner)
	}
	return undeleted
}

// sharedLife is how long an entry may be in the shared cache.
func (m *Manager) sharedLife() time.Duration { return m.opts.CacheTTL + cache.MaxLease }

// undeletedOwners holds the owners whose revoked keys could not be deleted from the
// shared cache, with the time of the latest failure.
type undeletedOwners struct {
	mu     sync.Mutex
	owners recent[string, time.Time]
}

func (u *undeletedOwners) failedAt(owner string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, _ := u.owners.get(owner)
	return at
}

func (u *undeletedOwners) add(owner string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.owners.set(owner, time.Now())
}

// remove removes the owner, unless the latest failure is later than the given one.
func (u *undeletedOwners) remove(owner string, failed time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.owners.get(owner); ok && at.Equal(failed) {
		u.owners.remove(owner)
	}
}

// listTime bounds how long deleteAllShared lists keys.
const listTime = 2 * time.Second

// deleteAllShared deletes all keys of the owner, except those that were revoked too long
// ago to be in the shared cache.
func (a *revokeAll) deleteAllShared(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	q := store.Query{Owner: a.owner}
	for {
		page, err := callStore(ctx, a.Manager, func(ctx context.Context) (store.Page, error) { return a.store.List(ctx, q) })
		if err != nil {
			return fmt.Errorf("shared cache: list the owner's keys: %w", err)
		}
		page.Records = slices.DeleteFunc(page.Records, func(r store.Record) bool {
			return !r.RevokedAt.IsZero() && time.Since(r.RevokedAt) > a.sharedLife()+clockMargin
		})
		if err := a.deleteSharedKeys(ctx, page.Records); err != nil {
			return err
		}
		if q.After = page.Next; q.After.IsZero() {
			return nil
		}
	}
}

func (a *revokeAll) deleteSharedKeys(ctx context.Context, records []store.Record) error {
	if len(records) == 0 {
		return nil
	}
	keys := make([]cache.Key, len(records))
	for i := range records {
		keys[i] = cache.Key(records[i].Digest)
	}
	_, err := callShared(ctx, a.Manager, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.opts.SharedCache.Delete(ctx, keys...)
	})
	if err != nil {
		return fmt.Errorf("shared cache: delete: %w", err)
	}
	return nil
}
