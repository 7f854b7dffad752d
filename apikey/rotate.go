package apikey

import (
	"context"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// Rotate replaces a key with a new one that has the same name, scopes, metadata and
// expiry. The old token keeps working for the grace period, but not beyond its own
// expiry. With a grace period of zero it is revoked at once.
//
// A key in its grace period does not count against the limit while the key that
// replaced it counts. An owner at the limit therefore cannot rotate, with a grace
// period, a key whose predecessor still works: Rotate returns [ErrConflict]. Revoke
// the predecessor first, or rotate without a grace period, which the limit never
// prevents.
//
// If the clock of another instance, which has changed a key of the owner, is ahead by
// more than the grace period, the old token is revoked at once.
//
// If a key is rotated several times at once, one rotation succeeds and the others
// return ErrConflict. So does the rotation of a key that is revoked, disabled or
// expired. Other errors are [ErrNotFound], an [*InvalidError] for a negative grace
// period or an invalid owner, [ErrLimited] as for Create, and [ErrUnavailable]. After
// ErrUnavailable the rotation may have happened; Get then shows ReplacedBy. A
// rotation that cannot be published to other instances returns no error, since the
// caller would lose the token: Issued.Propagated is false.
//
// An owner who is not entitled may rotate, so that a leaked key can be replaced at
// any time. Without a grace period, Rotate does not need the owner's plan. With one,
// it needs the plan's limit. While the provider fails, Rotate uses the cached plan
// for up to [Options.CacheTTL] and [Options.StaleIfError]; without a cached plan it
// returns ErrUnavailable and changes nothing.
func (m *Manager) Rotate(ctx context.Context, owner, id string, grace time.Duration) (Issued, error) {
	if grace < 0 {
		return Issued{}, &InvalidError{Field: "grace", Reason: "must not be negative"}
	}
	if err := checkNamed(owner, id); err != nil {
		return Issued{}, err
	}
	permit, err := m.admit(ctx, m.writes, owner)
	if err != nil {
		return Issued{}, err
	}
	defer permit.release()
	r, err := m.getRecord(ctx, permit, owner, id)
	if err != nil {
		return Issued{}, err
	}
	if !r.RevokedAt.IsZero() || !r.DisabledAt.IsZero() {
		return Issued{}, ErrConflict // find also returns changes that the store has lost
	}
	token := m.token.generate()
	next := store.Record{ID: newID(), Digest: DigestOf(token), Hint: m.token.hint(token), CreatedAt: now()}
	ends := next.CreatedAt.Add(grace).Truncate(time.Microsecond)
	limit := -1
	if next.HasGracePeriod(ends) {
		plan, err := m.planOf(ctx, owner)
		if err != nil {
			return Issued{}, err
		}
		limit = plan.MaxKeys
	}
	rotate := func(ctx context.Context) (rotation, error) {
		if grace == 0 {
			m.uses.flushKey(ctx, r.Digest)
		}
		old, made, err := m.store.Rotate(ctx, owner, id, next, ends, limit)
		if err == nil {
			m.ended.remember(r.Digest, old)
		}
		done := rotation{old, made}
		if err == nil && !done.matches(owner, id, next, ends) {
			err = errWrongRecord
		}
		return done, err
	}
	report := func(ctx context.Context, _ rotation) {
		m.emit(ctx, Event{Kind: EventRotated, Time: next.CreatedAt, Owner: owner, KeyID: id, NewKeyID: next.ID})
	}
	done, err := change(ctx, m, permit, rotate, report, cache.Key(r.Digest), cache.Key(next.Digest))
	if err != nil {
		return Issued{}, m.fail(ctx, owner, id, err)
	}
	m.digests.add(done.value.made)
	propagated := m.notPropagated(ctx, done.unpropagated) == nil
	return Issued{Key: keyOf(done.value.made), Secret: newSecret(token), Propagated: propagated}, nil
}

type rotation struct{ old, made store.Record }

// matches reports whether the store did what Rotate requested. In particular, the old
// key must end no later than its grace period.
func (r rotation) matches(owner, id string, next store.Record, ends time.Time) bool {
	ended := !r.old.RevokedAt.IsZero()
	if ends.After(next.CreatedAt) {
		ended = ended || !r.old.ExpiresAt.IsZero() && !r.old.ExpiresAt.After(ends)
	}
	return ended && r.old.ID == id && r.old.Owner == owner && r.old.ReplacedBy == next.ID &&
		r.made.ID == next.ID && r.made.Owner == owner && r.made.Digest == next.Digest
}
