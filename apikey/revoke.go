package apikey

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// Revoke ends a key permanently. It is idempotent: the time and the reason of the first
// call stay. The reason may have up to 255 bytes. Once Revoke has returned nil, no
// Validate of this Manager that starts later accepts the key. Other instances follow
// within milliseconds with an [Options.Bus], and otherwise within the longer of their
// [Options.CacheTTL] and [Options.StaleIfError].
//
// Errors are [ErrNotFound], [*InvalidError] and [ErrUnavailable]. After ErrUnavailable
// the key may still be active, so call Revoke again. After [ErrNotPropagated] the key is
// revoked in this process and in the store; another call notifies the other instances
// again.
func (m *Manager) Revoke(ctx context.Context, owner, id, reason string) (Key, error) {
	if err := checkReason(reason); err != nil {
		return Key{}, err
	}
	at := now()
	done, err := m.revoke(ctx, owner, id, m.digests.find(owner, id), at, reason)
	if err == nil && !done.value.fenced {
		// The row was deleted, and another key has its ID now. Only a look-up finds the
		// digest for the fence.
		done, err = m.revoke(ctx, owner, id, store.Digest{}, at, reason)
	}
	if err == nil && !done.value.fenced {
		err = m.fail(ctx, owner, id, errWrongRecord)
	}
	if err != nil {
		return Key{}, err
	}
	return keyOf(done.value.Record), m.notPropagated(ctx, done.unpropagated)
}

// revoke revokes the key while the fence of the digest is up. If the digest is zero, revoke looks
// it up first.
func (m *Manager) revoke(ctx context.Context, owner, id string, digest store.Digest, at time.Time, reason string) (changed[revocation], error) {
	return write(ctx, m, m.revocations, owner, id, digest, func(ctx context.Context, before store.Record) (revocation, error) {
		seen := m.ended.now()
		r, changed, err := m.store.Revoke(ctx, owner, id, at, reason)
		if err == nil && (checkRecord(r, owner, id) != nil || r.RevokedAt.IsZero()) {
			err = errWrongRecord // report no success for a key that is not revoked
		}
		if err != nil {
			return revocation{}, err
		}
		if changed { // the store had the key as active; check notices if this process had already revoked it
			active := r
			active.RevokedAt, active.RevokeReason = time.Time{}, ""
			m.ended.check(ctx, active, seen)
		}
		m.ended.remember(r.Digest, r)
		return revocation{r, changed, r.Digest == before.Digest}, nil
	}, func(ctx context.Context, done revocation) {
		if done.changed {
			m.emit(ctx, Event{Kind: EventRevoked, Time: at, Owner: owner, KeyID: id})
		}
	})
}

type revocation struct {
	store.Record
	changed bool
	fenced  bool // the fenced digest was that of the record
}
