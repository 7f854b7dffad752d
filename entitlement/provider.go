package entitlement

import (
	"context"
	"errors"
)

// ErrNone is returned by a Provider if the owner has no entitlement, for example because
// the owner has never subscribed. It is a definite result, not a failure.
var ErrNone = errors.New("entitlement: none")

// A Provider returns the entitlement of an owner.
//
// The Manager calls it through a cache when a key is created or validated, so a
// Provider may query a database or a billing service. [ErrNone] means that the
// owner is entitled to nothing. An error that matches store.ErrBusy means that the
// Provider found no free connection in time and asked nothing. Any other error is an
// outage. In both cases the entitlement is not known, so the API's client gets 503.
//
// Entitlement may be called from many goroutines. It must not modify the slices
// of an Entitlement after returning it.
type Provider interface {
	Entitlement(ctx context.Context, owner string) (Entitlement, error)
}

// A Watcher is a Provider that also reports changes, so that they take effect
// at once. A Manager watches it until the Manager is closed. A type that wraps
// a Watcher must forward Watch; a [ProviderFunc] hides it.
type Watcher interface {
	Provider

	// Watch calls changed for each owner whose entitlement may have changed. It
	// returns when ctx ends or when it can no longer observe changes, always
	// with an error. The Manager then calls it again after a pause. The pause is
	// one second, and grows to 30 seconds if Watch keeps returning within 30
	// seconds.
	//
	// Watch calls gap once before the first call of changed, as soon as it will
	// report every later change. It calls gap again whenever it may have missed
	// changes. After a gap, the Manager treats its cached entitlements as stale
	// and asks for them again. The Manager passes each call of changed on to the
	// other instances unless the bus is down.
	//
	// gap and changed may be called from many goroutines, but not after Watch
	// has returned.
	Watch(ctx context.Context, gap func(), changed func(owner string)) error
}

// The ProviderFunc type is an adapter that lets a function be used as a
// [Provider].
type ProviderFunc func(ctx context.Context, owner string) (Entitlement, error)

// Entitlement calls f(ctx, owner).
func (f ProviderFunc) Entitlement(ctx context.Context, owner string) (Entitlement, error) {
	return f(ctx, owner)
}

// Static returns a Provider that returns e for every owner. It is for services
// with one plan, and for tests.
func Static(e Entitlement) Provider {
	e = e.Clone()
	return ProviderFunc(func(context.Context, string) (Entitlement, error) { return e.Clone(), nil })
}
