package apikey

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
)

// A cachedKey is what the cache keeps of a record: facts, whatever the key's
// status. Decisions are made anew each time.
type cachedKey struct {
	principal Principal                 // as in a service without plans
	bound     atomic.Pointer[Principal] // under the owner's plan; nil until there is one

	touchAfter atomic.Int64 // Unix microseconds: the next use to be written
	expires    int64        // Unix microseconds
	ended      ending
	ownerKey   cache.Key
}

// An ending is a state of a key that admits nobody, whatever the time.
type ending uint8

const (
	notEnded ending = iota
	isDisabled
	isRevoked
)

// Validate finds out whose key the token is and what its owner is entitled to.
//
// It answers an error that matches [ErrUnauthenticated] for a token that is not
// good, [ErrNotEntitled] when the owner's plan has no API access, and
// [ErrUnavailable] when the store or the provider could not say. A token that
// was validated lately is answered from memory, without allocating, locking or
// waiting; see [Options.CacheTTL]. A key that this Manager has revoked,
// disabled or rotated is refused from the moment that call returns.
//
// Scopes are up to the caller; see [Principal.Allows].
func (m *Manager) Validate(ctx context.Context, token string) (*Principal, error) {
	if !m.token.wellFormed(token) && !m.token.isLegacy(token) {
		return nil, m.refuse(ctx, nil, ErrMalformed)
	}
	d, now := DigestOf(token), time.Now()
	k, err := m.keys.Get(cache.Key(d), now)
	if err == cache.ErrMiss {
		// The checksum and the MAC keep forgeries from the store. A hit needs
		// neither: this very token was looked up before.
		if !(m.token.wellFormed(token) && m.token.genuine(token)) && !m.token.isLegacy(token) {
			return nil, m.refuse(ctx, nil, ErrMalformed)
		}
		k, err = m.load(ctx, d)
		now = time.Now()
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
func (m *Manager) decide(ctx context.Context, now time.Time, d store.Digest, k *cachedKey) (*Principal, error) {
	p := &k.principal
	if err := k.refusal(now); err != nil {
		if err == ErrRevoked {
			m.reportReuse(ctx, now, p)
			return nil, err
		}
		return nil, m.refuse(ctx, p, err)
	}
	if m.plans != nil {
		e, err := m.entitlement(ctx, now, k.ownerKey, p.Owner())
		if err != nil {
			m.reportOutage(ctx, p)
			return nil, err
		}
		if !e.Active(now) {
			return nil, m.refuse(ctx, p, ErrNotEntitled)
		}
		p = k.under(e)
	}
	m.uses.record(k, d, now)
	return p, nil
}

// refusal is the error for the key's status, nil when it is active. It agrees
// with [Key.Status].
func (k *cachedKey) refusal(now time.Time) error {
	switch {
	case k.ended == isRevoked:
		return ErrRevoked
	case now.UnixMicro() >= k.expires:
		return ErrExpired
	case k.ended == isDisabled:
		return ErrDisabled
	}
	return nil
}

// under returns the key's Principal under the plan e, a new one only if the plan
// has changed.
func (k *cachedKey) under(e *entitlement.Entitlement) *Principal {
	p := k.bound.Load()
	if p == nil || p.plan != e {
		p = k.principal.under(e)
		k.bound.Store(p)
	}
	return p
}

// load asks the store; it stands apart so that a hit does not pay for what it
// puts on the heap.
//
//go:noinline
func (m *Manager) load(ctx context.Context, d store.Digest) (*cachedKey, error) {
	return m.keys.Load(ctx, cache.Key(d), func(ctx context.Context) (cache.Loaded[*cachedKey], error) {
		seen := m.ended.now()
		sooner, cancel := m.sooner(ctx)
		defer cancel()
		r, err := m.store.Lookup(sooner, d)
		var found cache.Loaded[*cachedKey]
		switch err = storeError(err); {
		case errors.Is(err, store.ErrNotFound):
			found.Absent = true
			return found, nil
		case errors.Is(err, store.ErrBusy):
			return found, cache.ErrOverloaded
		case err != nil:
			return found, err
		case !possible(r, d):
			return found, errForged
		}
		found = m.loadedAsLeft(ctx, r, seen)
		found.Encode = func() ([]byte, error) { return encodeRecord(r) }
		return found, nil
	})
}

// sooner returns a context that ends shortly before a load is given up, so that the
// store can still say why it failed.
func (m *Manager) sooner(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-m.opts.CallTimeout/50))
	}
	return context.WithCancel(ctx)
}

// possible reports whether r can be the record that was asked for.
func possible(r store.Record, d store.Digest) bool {
	return r.Digest == d && r.ID != "" && r.Owner != "" && plausible(r.ExpiresAt)
}

func (m *Manager) loaded(r store.Record) cache.Loaded[*cachedKey] {
	k := &cachedKey{principal: newPrincipal(r, &m.noPlan), expires: math.MaxInt64, ownerKey: ownerKey(r.Owner)}
	switch {
	case !r.RevokedAt.IsZero():
		k.ended = isRevoked
	case !r.DisabledAt.IsZero():
		k.ended = isDisabled
	}
	if !r.ExpiresAt.IsZero() {
		k.expires = r.ExpiresAt.UnixMicro()
	}
	// One in the future comes from a wrong clock, and keeps no use from being recorded.
	if !r.LastUsedAt.IsZero() && !r.LastUsedAt.After(time.Now()) {
		k.touchAfter.Store(r.LastUsedAt.Add(m.opts.TouchInterval).UnixMicro())
	}
	found := cache.Loaded[*cachedKey]{Value: k, Group: k.ownerKey, Ended: k.refusal(time.Now()) != nil}
	// Look again when the expiry has come, in case it was moved meanwhile.
	if r.ExpiresAt.After(time.Now()) {
		found.Until = r.ExpiresAt
	}
	return found
}

// loadedAsLeft is loaded for what the store has returned, which may contradict
// what this process has done to the key.
func (m *Manager) loadedAsLeft(ctx context.Context, r store.Record, seen uint64) cache.Loaded[*cachedKey] {
	r, until := m.ended.check(ctx, r, seen)
	found := m.loaded(r)
	if !until.IsZero() && (found.Until.IsZero() || until.Before(found.Until)) {
		found.Until = until
	}
	return found
}

// plausible reports whether t is an instant that the arithmetic here can bear.
func plausible(t time.Time) bool { return t.Year() >= 1 && !t.After(latest) }

// ownerKey is the cache's name for an owner.
func ownerKey(owner string) cache.Key { return sha256.Sum256([]byte(owner)) }

// refuse reports a refusal and returns its error. p is nil if the key is not
// known. It costs next to nothing while nobody listens, since an attacker
// decides how often it is called.
func (m *Manager) refuse(ctx context.Context, p *Principal, err error) error {
	if m.listens(ctx, EventRefused) {
		m.report(ctx, p, err)
	}
	return err
}

// reportOutage reports that a key could not be validated. A caller that hangs up, or
// that has waited for as long as it wants to, is no outage.
func (m *Manager) reportOutage(ctx context.Context, p *Principal) {
	if ctx.Err() == nil {
		_ = m.refuse(ctx, p, ErrUnavailable)
	}
}

//go:noinline
func (m *Manager) report(ctx context.Context, p *Principal, err error) {
	m.emit(ctx, Event{Kind: EventRefused, Time: now(), Owner: p.Owner(), KeyID: p.KeyID(), Reason: reasonOf(err)})
}
