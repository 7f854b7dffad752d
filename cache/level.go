package cache

import (
	"context"
	"time"
)

// A Shared is a shared cache below a [Cache]: a server in which all instances keep
// entries, so that an instance that starts need not read everything from the
// store. Implementers adapt a cache server to it.
//
// The fence of a Cache ends at its process, so a Shared has a fence of its own. A
// Get that misses grants a lease, and Set keeps an entry only while its lease is
// valid. Delete ends the lease. So a value that was read before a change cannot
// be set after it.
//
// All methods may be called from many goroutines. Each returns when its context
// ends, and by itself within a fraction of the store's call timeout, so that a
// failing Shared costs no more than a store read.
type Shared interface {
	// Get returns the entry of the key, or the unwrapped [ErrMiss] and a lease for
	// Set. The caller may change the value. An entry that is damaged, or that
	// this service did not write, is a miss. Any other error means that the
	// server cannot be used now; then there is no lease.
	Get(ctx context.Context, key Key) (item Item, lease string, err error)

	// Set keeps an entry for ttl from the time at which the lease was granted. It
	// neither changes nor retains the value. If the lease has ended, Set keeps
	// nothing and returns nil.
	Set(ctx context.Context, key Key, lease string, item Item, ttl time.Duration) error

	// Delete removes the entries of the keys and ends their leases. After it has
	// returned nil, no Get of any instance returns an entry from before, nor one
	// that is set later under a lease from before. Delete calls the server even
	// while a circuit breaker blocks Get and Set.
	Delete(ctx context.Context, keys ...Key) error
}

// An Item is an entry of a Level.
type Item struct {
	Value  []byte
	Absent bool          // the store has no value; such entries are kept apart
	Age    time.Duration // at least the time since the lease was granted; Set ignores it
}

// MaxLease is the maximum life of a lease. A [Shared] may end it sooner.
const MaxLease = 10 * time.Second
