package entitlement

import (
	"context"
	"errors"
)

// ErrNone is returned by a Provider when the owner has no entitlement at all:
// never subscribed, or the subscription ended. It is an answer, not a failure.
var ErrNone = errors.New("entitlement: none")

// A Provider knows what owners are entitled to.
//
// It is asked when a key is created and when one is validated, through a cache,
// so it may go to a database or a billing service. [ErrNone] means that the
// owner is entitled to nothing. Any other error means that it could not be
// found out, which is a different thing: the caller is told to try again, not
// to upgrade.
//
// Entitlement may be called from many goroutines. It must not change an
// Entitlement's slices after returning it.
type Provider interface {
	Entitlement(ctx context.Context, owner string) (Entitlement, error)
}

// A Watcher is a Provider that hears of changes, so that they take effect at
// once. A Manager watches it until it is closed. Whoever wraps a Watcher has to
// pass its Watch on; a [ProviderFunc] hides it.
type Watcher interface {
	Provider

	// Watch calls changed for each owner whose entitlement may have changed,
	// until ctx ends or it hears of no more changes; then it returns, always
	// with an error, and is called again after a pause: a second, and up to 30 as
	// long as it returns within 30. Before the first
	// change, when everything from then on is heard of, it calls gap. It calls
	// it again whenever changes may have been missed: then everything that was
	// known is asked for anew. A Manager passes changed on to the other instances,
	// unless their bus is lost. Both may be called from many goroutines, and neither
	// after Watch has returned.
	Watch(ctx context.Context, gap func(), changed func(owner string)) error
}

// The ProviderFunc type lets a function be a [Provider].
type ProviderFunc func(ctx context.Context, owner string) (Entitlement, error)

// Entitlement calls f.
func (f ProviderFunc) Entitlement(ctx context.Context, owner string) (Entitlement, error) {
	return f(ctx, owner)
}

// Static returns a Provider that gives every owner the same: for services with
// one plan, and for tests.
func Static(e Entitlement) Provider {
	e = e.Clone()
	return ProviderFunc(func(context.Context, string) (Entitlement, error) { return e.Clone(), nil })
}
