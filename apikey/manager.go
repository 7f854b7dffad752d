// Package apikey issues API keys to the customers of a Go service and checks
// them on every request.
//
// A [Manager] does both, over a [store.Store] that keeps digests of the keys in the
// service's own database. [Manager.Require] is the middleware; a settings page calls
// [Manager.Create], [Manager.List], [Manager.Rotate] and [Manager.Revoke].
//
//	st, err := sqlitestore.Open(ctx, "keys.db")
//	keys, err := apikey.New(st, &apikey.Options{Prefix: "acme"})
//	issued, err := keys.Create(ctx, apikey.CreateParams{
//		Owner: "user_1", Name: "ci", Scopes: []string{"reports:read"},
//	})
//	fmt.Println(issued.Secret.Reveal()) // shown once
//	mux.Handle("GET /reports", keys.Require("reports:read")(h))
//
// # Errors
//
// There are three classes. [*InvalidError], [ErrNotFound], [ErrConflict],
// [ErrDuplicate] and [ErrLimitReached] are the caller's mistake, or are caused by a
// concurrent change. [ErrLimited] refuses a call because too many calls of its owner are running.
// [ErrUnauthenticated] and [ErrForbidden] refuse a key. [ErrAmbiguous] refuses a request with
// several credentials. [ErrUnavailable] reports an outage of the store or of the entitlement
// provider. It says nothing about the key.
//
// # Several Managers
//
// "At once" means in the Manager that made the change. Have one Manager in each
// process. Other Managers see a change within milliseconds if there is an [Options.Bus], and
// otherwise within the longer of their [Options.CacheTTL] and [Options.StaleIfError].
//
// # How it works
//
// A validation reads memory. Only a key that is not cached costs a store call.
//
//	Require ─> one credential ─> Validate
//	                              ├─ shape of the token
//	                              ├─ cached key ──── miss ─> checksum, MAC ─> shared cache ─> store.Lookup
//	                              ├─ revoked, expired, disabled?
//	                              └─ cached plan ─── miss ─> entitlement.Provider
//
// The cache holds facts, such as the time of expiry, and never decisions: each
// validation decides again. Loads of one key are merged. The number of concurrent loads
// is bounded, and unknown tokens get only a part of it.
//
// A change, such as [Manager.Revoke], runs while a fence of package cache is up:
//
//	the fence goes up: no request is served from the cached entry
//	the store makes the change
//	the entry is deleted from the shared cache
//	the fence comes down: requests load the key again
//	the bus notifies the other instances, which invalidate their entries
//
// So a load that has read the key before the change cannot fill the cache after it. The
// Manager also remembers the keys that it has revoked, and refuses them even after a
// rollback of the database.
//
// Every call to a store, provider, shared cache or bus is guarded: it has a deadline, a
// panic in it becomes an error, and an error that is not one of the documented ones
// counts as an outage.
package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/guard"
	"github.com/keyhatch/keyhatch/store"
)

// A Manager issues and checks keys. Its methods may be called from many
// goroutines. Create one per service with [New] and end it with
// [Manager.Close].
type Manager struct {
	store    store.Store
	opts     Options
	log      *slog.Logger
	token    *tokenFormat
	carriers []carrier

	calls                      *guard.Places // places for store calls, see callStore
	sharedCalls                *guard.Places // places for calls to the shared cache
	clock                      *cache.Clock
	keys                       *cache.Cache[cachedKey] // by digest
	group                      *cache.Group            // nil when there is no Bus
	plans                      *cache.Cache[ownerPlan] // by ownerKey; nil when there is no provider
	sharedPlans                planPool
	reads, writes, revocations *lane // lanes for the management calls of these kinds

	writeLimits map[EventKind]*writeLimit
	watcher     *background // nil when the provider does not watch
	counts      *background // nil when the store does not count revocations
	uses        *lastUsed
	reuses      *reuses // uses of revoked keys
	ended       endedKeys

	digests      digests         // digests of keys that were recently listed or read
	undeleted    undeletedOwners // owners whose keys RevokeAll could not delete from the shared cache
	unrestricted ownerPlan       // plan of every owner in a service without plans

	failed, overloaded logLimit

	mark, ownMark atomic.Uint64 // see countWatch
}

// New returns a Manager over st. If opts is nil, the defaults are used. New returns an
// [*InvalidError] if st is nil or an option is outside its bounds. The caller must
// close the store after the Manager.
func New(st store.Store, opts *Options) (*Manager, error) {
	o := opts.withDefaults()
	if isNil(st) {
		return nil, &InvalidError{Field: "store", Reason: "must not be nil"}
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	m := &Manager{store: st, opts: o, log: o.Logger, clock: cache.NewClock(), reuses: newReuses(), calls: newPlaces(), sharedCalls: newPlaces(),
		reads: newLane(maxReads, ownerWaiting), writes: newLane(maxWrites, 0), revocations: newLane(maxRevokes, ownerWaiting), writeLimits: newWriteLimits()}
	var err error
	if m.token, err = newTokenFormat(&o); err != nil {
		return nil, err
	}
	m.opts.MACKeys = nil // so that no verb of fmt shows them
	if m.carriers, err = newCarriers(o.Headers); err != nil {
		return nil, err
	}
	if m.keys, err = cache.New[cachedKey](m.cacheOptions()); err != nil {
		return nil, err
	}
	if o.Entitlements != nil {
		if m.plans, err = cache.New[ownerPlan](m.planOptions()); err != nil {
			return nil, errors.Join(err, m.keys.Close(context.Background()))
		}
	}
	m.unrestricted, m.ended.m = m.sharedPlans.share(m.everything()), m
	if o.SharedCache != nil {
		m.keys.Share(o.SharedCache, m.loadedFromShared, m.logSharedFailure)
	}
	if o.Bus != nil {
		m.joinOthers()
	}
	m.watcher = startWatcher(m)
	m.uses = newLastUsed(m)
	m.counts = startCountWatch(m)
	return m, nil
}

func (m *Manager) cacheOptions() cache.Options {
	return cache.Options{
		Size:         m.opts.CacheSize,
		TTL:          m.opts.CacheTTL,
		NegativeTTL:  m.opts.NegativeTTL,
		StaleIfError: m.opts.StaleIfError,
		LoadTimeout:  m.opts.CallTimeout,
		Clock:        m.clock,
	}
}

// joinOthers joins the instances that the Bus connects.
func (m *Manager) joinOthers() {
	m.group = cache.NewGroup(m.opts.Bus, &cache.GroupOptions{
		Report:   m.reportBus,
		OnChange: m.ended.changed,
		OnMissed: m.ended.missed,
		Mark:     m.ownMark.Load,
		OnMark:   m.mark.Store,
		TTL:      m.opts.CacheTTL,
	})
	m.group.Join(m.keys)
	if m.plans != nil {
		m.group.Join(m.plans)
	}
}

// reportBus is called when the bus goes down and when it comes up.
func (m *Manager) reportBus(err error) {
	defer func() { _ = recover() }() // from a Logger that panics
	if err != nil {
		m.log.Warn("apikey: the bus is down; cached keys and plans expire after 10 s until it is up", slog.Any("error", err))
		return
	}
	m.log.Info("apikey: the bus is up")
}

// isNil also detects a nil pointer or func in an interface, which would only fail at
// the first request.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}

// Close writes the pending last-used times, ends the provider's Watch, leaves the bus,
// waits for the look-ups in progress and ends the Manager's goroutines. It returns
// ctx's error if ctx ends first, for example because the provider's Watch does not
// return, and [ErrUnavailable] if the store did not accept the last-used times. It may
// be called again. It does not close the store, the bus and the shared cache.
//
// Call it after the HTTP server has shut down. After Close, validations read the store,
// and their last-used times are not written.
func (m *Manager) Close(ctx context.Context) error {
	err := m.uses.close(ctx)
	watching := m.watcher.close(ctx)
	if watching != nil {
		watching = fmt.Errorf("apikey: the provider's Watch has not returned: %w", watching)
	}
	err = errors.Join(err, watching, m.counts.close(ctx))
	err = errors.Join(err, m.group.Close(ctx))
	if m.plans != nil { // before the keys, since a validation first loads its key and then its plan
		err = errors.Join(err, m.plans.Close(ctx))
	}
	return errors.Join(err, m.keys.Close(ctx))
}

// Pattern returns the regular expression (RE2) that every token of this
// Manager matches, for secret scanners.
func (m *Manager) Pattern() string { return m.token.pattern() }

// ClientPrefix returns the [Options.Prefix] for clients that make tokens outside of
// this process, to be admitted by [Manager.Register]. Such a token is the prefix,
// "_", 30 random base62 characters, and the CRC-32 (IEEE) of all that in base62,
// padded with zeros to 6. ok is false if [Options.MACKeys] are set, since only this
// process has them.
func (m *Manager) ClientPrefix() (prefix string, ok bool) {
	return strings.TrimSuffix(m.token.prefix, "_"), len(m.token.macs) == 0
}

// now is the clock: UTC, to the microsecond that stores keep.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// fail converts a store's error in a management call to the Manager's.
func (m *Manager) fail(ctx context.Context, owner, id string, err error) error {
	switch {
	case errors.Is(err, store.ErrOwnerMismatch):
		m.emit(ctx, Event{Kind: EventOwnerMismatch, Time: now(), Owner: owner, KeyID: id})
		return ErrNotFound
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, store.ErrLimit):
		m.emit(ctx, Event{Kind: EventLimitReached, Time: now(), Owner: owner})
		return ErrLimitReached
	case errors.Is(err, store.ErrDuplicate):
		return ErrDuplicate
	case errors.Is(err, store.ErrConflict):
		return ErrConflict
	}
	return m.unavailable(ctx, "store", err)
}

// unavailable reports that the store or the provider has failed, or was not called.
func (m *Manager) unavailable(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil && !overloaded(err): // the caller no longer waits
		m.log.LogAttrs(ctx, slog.LevelDebug, "apikey: "+what+" failed", slog.Any("error", err))
	default:
		m.logFailure(ctx, what, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
}

var errWrongRecord = errors.New("the store returned a record that was not requested")
