package apikey

import (
	"context"

	"github.com/keyhatch/keyhatch/store"
)

// Revoke ends a key permanently. It is idempotent: the time and the reason of the first
// call stay. The reason may have up to 255 bytes. Once Revoke has returned nil, no
// Validate of this Manager that starts later accepts the key. Other instances follow
// within milliseconds with an [Options.Bus], and otherwise within their
// [Options.CacheTTL].
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
	done, err := write(ctx, m, m.revocations, owner, id, m.digests.find(owner, id), func(ctx context.Context, before store.Record) (revocation, error) {
		r, changed, err := m.store.Revoke(ctx, owner, id, at, reason)
		if err == nil && (checkRecord(r, owner, id) != nil || r.RevokedAt.IsZero()) {
			err = errForged // it must not look revoked when it is not
		}
		if err == nil && r.Digest != before.Digest {
			// The row was deleted, and another key has its ID now. The next call looks
			// up the key that must be fenced.
			m.digests.remove(owner, id)
			err = errForged
		}
		if err == nil {
			m.ended.remember(before.Digest, r)
		}
		return revocation{r, changed}, err
	}, func(ctx context.Context, done revocation) {
		if done.changed {
			m.emit(ctx, Event{Kind: EventRevoked, Time: at, Owner: owner, KeyID: id})
		}
	})
	if err != nil {
		return Key{}, err
	}
	return keyOf(done.value.Record), m.notPropagated(ctx, done.unpropagated)
}

type revocation struct {
	store.Record
	changed bool
}
