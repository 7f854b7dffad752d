package cache

import "time"

// Serves reports whether a cached value or absence may be served at the given time, even if
// it must be renewed, in which case Get misses.
func (c *Cache[V]) Serves(key Key, now time.Time) bool {
	return c.find(&key, now.Sub(c.start), now.UnixNano()) != nil
}
