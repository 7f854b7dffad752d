package apikey

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store"
)

// A cachedKey is the cached form of a record. It holds facts only: each validation
// decides again whether the key is accepted. It has 32 bytes, so that its entry in the cache
// takes two cache lines. A hit reads the Principal only if there are plans.
type cachedKey struct {
	principal  atomic.Pointer[Principal] // with the owner's latest plan
	touchAfter atomic.Int64              // Unix microseconds; uses before it are not written
	expires    int64                     // Unix microseconds; the maximum means never
	revoked    bool
	disabled   bool
}

// Validate returns the [Principal] of a token: its key, and the entitlement of the
// key's owner. It returns an error that matches [ErrUnauthenticated] if the token is
// not valid, [ErrNotEntitled] if the owner's plan has no API access, and
// [ErrUnavailable] if the store or the provider fails.
//
// For a key in the cache, Validate does not allocate, lock or wait; see
// [Options.CacheTTL]. A key that this Manager has revoked or disabled, or rotated
// without a grace period, is refused as soon as that call has returned.
//
// Validate does not check scopes; see [Principal.Allows]. It may be called from many
// goroutines.
func (m *Manager) Validate(ctx context.Context, token string) (*Principal, error) {
	wellFormed := m.token.wellFormed(token)
	if !wellFormed && !m.token.isLegacy(token) {
		return nil, m.refuse(ctx, nil, ErrMalformed)
	}
	d, now := DigestOf(token), m.clock.Now()
	k, err := m.keys.Get(cache.Key(d), now)
	if err == cache.ErrMiss {
		// The checksum and the MAC keep forged tokens away from the store. A hit
		// needs no check, since the same token was looked up before.
		if wellFormed && !m.token.verify(token) {
			return nil, m.refuse(ctx, nil, ErrMalformed)
		}
		k, err = m.load(ctx, d)
		now = m.clock.Now()
	}
	switch {
	case err == nil:
		return m.decide(ctx, now, d, k)
	case err == cache.ErrNotFound:
		return nil, m.refuse(ctx, nil, ErrUnknown)
	}
	m.reportOutage(ctx, nil)
	return nil, m.unavailable(ctx, "store", err)
}

// decide applies the key's status and its owner's entitlement as they are now.
func (m *Manager) decide(ctx context.Context, now cache.Time, d store.Digest, k *cachedKey) (*Principal, error) {
	p := k.principal.Load()
	if err := k.refusal(now); err != nil {
		if err == ErrRevoked {
			m.reportReuse(ctx, now.Wall(), p)
			return nil, err
		}
		return nil, m.refuse(ctx, p, err)
	}
	if m.plans != nil && !(m.plans.IsCurrent(&p.version, now) && p.plan.active(now)) {
		var err error
		if p, now, err = m.applyPlan(ctx, now, k, p); err != nil {
			return nil, err
		}
	}
	m.uses.record(k, p, d, now)
	return p, nil
}

// applyPlan returns the key's Principal with the owner's current plan, and the time at which it
// has checked the key and the plan. That time is later than now if the plan had to be loaded.
func (m *Manager) applyPlan(ctx context.Context, now cache.Time, k *cachedKey, p *Principal) (*Principal, cache.Time, error) {
	plan, version, at, err := m.planFor(ctx, now, p.Owner())
	switch {
	case err != nil:
		m.reportOutage(ctx, p)
		return nil, at, err
	case at != now && k.refusal(at) != nil: // it expired while the plan was loaded
		return nil, at, m.refuse(ctx, p, ErrExpired)
	case !plan.active(at):
		return nil, at, m.refuse(ctx, p, ErrNotEntitled)
	}
	return k.withPlan(p, plan, version), at, nil
}

// refusal returns the error for the key's status, or nil if the key is active. It must
// agree with [Key.Status].
func (k *cachedKey) refusal(now cache.Time) error {
	switch {
	case k.revoked:
		return ErrRevoked
	case now.UnixMicro() >= k.expires:
		return ErrExpired
	case k.disabled:
		return ErrDisabled
	}
	return nil
}

// withPlan returns the key's Principal p with a plan, and keeps it for the next validation. It
// allocates only if the plan has changed or was loaded again. The version is zero if the plan was
// not read from the cache; see planFor.
func (k *cachedKey) withPlan(p *Principal, plan ownerPlan, version cache.Version) *Principal {
	if p.plan == plan && (p.version == version || version == cache.Version{}) {
		return p
	}
	p = &Principal{text: p.text, plan: plan, version: version}
	k.principal.Store(p)
	return p
}

// load reads the key from the store and caches it. It is a function of its own, and
// not inlined, so that a hit does not allocate its closures.
//
//go:noinline
func (m *Manager) load(ctx context.Context, d store.Digest) (*cachedKey, error) {
	return m.keys.Load(ctx, cache.Key(d), func(ctx context.Context) (cache.Loaded[cachedKey], error) {
		seen := m.ended.now()
		lookup, cancel := m.beforeDeadline(ctx)
		defer cancel()
		r, err := m.store.Lookup(lookup, d)
		var found cache.Loaded[cachedKey]
		switch err = storeError(err); {
		case errors.Is(err, store.ErrNotFound):
			found.Absent = true
			return found, nil
		case errors.Is(err, store.ErrBusy):
			return found, cache.ErrOverloaded
		case err != nil:
			return found, err
		case !isRecordOf(r, d):
			return found, errWrongRecord
		}
		found = m.loadedFromStore(ctx, r, seen)
		found.Encode = func() ([]byte, error) { return encodeRecord(r) }
		return found, nil
	})
}

// beforeDeadline returns a context that ends shortly before ctx, so that the store or the
// provider can still return the reason of a failure.
func (m *Manager) beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-m.opts.CallTimeout/50))
	}
	return context.WithCancel(ctx)
}

// isRecordOf reports whether r can be the record with the digest d.
func isRecordOf(r store.Record, d store.Digest) bool {
	return r.Digest == d && r.ID != "" && r.Owner != "" && isValidTime(r.ExpiresAt)
}

// loaded returns the key of a record in the form for the cache.
func (m *Manager) loaded(r store.Record) cache.Loaded[cachedKey] {
	k := &cachedKey{expires: math.MaxInt64, revoked: !r.RevokedAt.IsZero(), disabled: !r.DisabledAt.IsZero()}
	k.principal.Store(newPrincipal(r, m.unrestricted))
	if !r.ExpiresAt.IsZero() {
		k.expires = r.ExpiresAt.UnixMicro()
	}
	// A time in the future comes from a wrong clock. It is ignored, since otherwise no use
	// would be recorded until that time.
	if !r.LastUsedAt.IsZero() && !r.LastUsedAt.After(time.Now()) {
		k.touchAfter.Store(r.LastUsedAt.Add(m.opts.TouchInterval).UnixMicro())
	}
	found := cache.Loaded[cachedKey]{Value: k, Tag: ownerKey(r.Owner), Ended: k.refusal(m.clock.Now()) != nil}
	// The key is loaded again when it expires, since its expiry may have changed.
	if r.ExpiresAt.After(time.Now()) {
		found.Until = r.ExpiresAt
	}
	return found
}

// loadedFromStore returns the key of a record that the store returned. If the store has
// lost a change that this process made to the key, the returned key includes the
// change.
func (m *Manager) loadedFromStore(ctx context.Context, r store.Record, seen uint64) cache.Loaded[cachedKey] {
	r, until := m.ended.check(ctx, r, seen)
	found := m.loaded(r)
	if !until.IsZero() && (found.Until.IsZero() || until.Before(found.Until)) {
		found.Until = until
	}
	return found
}

// isValidTime reports whether t can be converted to Unix microseconds without an
// overflow.
func isValidTime(t time.Time) bool { return t.Year() >= 1 && !t.After(latest) }

// ownerKey returns the cache key of an owner. It does not allocate.
func ownerKey(owner string) cache.Key { return cache.Key(DigestOf(owner)) }

// refuse reports a refusal and returns err. p is nil if the key is not known. An attacker
// decides how often refuse is called, so it does almost nothing if refusals are neither logged
// nor passed to OnEvent.
func (m *Manager) refuse(ctx context.Context, p *Principal, err error) error {
	if m.listens(ctx, EventRefused) {
		m.report(ctx, p, err)
	}
	return err
}

// reportOutage reports that a key could not be validated, unless the caller has
// canceled the call or its deadline has passed.
func (m *Manager) reportOutage(ctx context.Context, p *Principal) {
	if ctx.Err() == nil {
		_ = m.refuse(ctx, p, ErrUnavailable)
	}
}

func (m *Manager) report(ctx context.Context, p *Principal, err error) {
	m.emit(ctx, Event{Kind: EventRefused, Time: now(), Owner: p.Owner(), KeyID: p.KeyID(), Reason: reasonOf(err)})
}
