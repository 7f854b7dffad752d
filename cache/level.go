package cache

import (
	"context"
	"time"
)

// A Level is a second level below a [Cache]: bytes in a server that all
// instances share, so that one that starts need not ask the store for
// everything. It is written by those who bring such a server.
//
// The fence of a Cache ends at its process, so a Level has a fence of its own.
// Whoever misses gets a lease, and what was found is kept only while the lease
// stands. Delete ends it. So a value that was read before a change cannot be
// set after it.
//
// All methods may be called from many goroutines. They heed their context, but
// bound themselves too, to a fraction of what a store is given: an error costs
// no more than a look into the store.
type Level interface {
	// Get returns what is kept for the key, or [ErrMiss], as it is, and a lease
	// for Set. The value is the caller's.
	// An entry that is damaged, or was not written by this service, is a miss.
	// Any other error says that the server cannot be used now; then there is
	// no lease and nothing to be set.
	Get(ctx context.Context, key Key) (item Item, lease string, err error)

	// Set keeps what was found under a lease. It does not change the value, nor
	// hold on to it. Its ttl counts from the time at
	// which the lease was granted. It is no error that the lease has ended, in
	// which case nothing is kept.
	Set(ctx context.Context, key Key, lease string, item Item, ttl time.Duration) error

	// Delete forgets the keys and ends their leases. Once it has returned nil,
	// no Get of any instance returns what was there before, nor what is set
	// later under a lease from before. It tries even when other methods have
	// given the server up.
	Delete(ctx context.Context, keys ...Key) error
}

// An Item is what a Level keeps for a key.
type Item struct {
	Value  []byte
	Absent bool          // there is no value; kept apart from values
	Age    time.Duration // since its lease was granted, at least; Set ignores it
}

// MaxLease is how long a lease can stand. A [Level] may end it sooner.
const MaxLease = 10 * time.Second
