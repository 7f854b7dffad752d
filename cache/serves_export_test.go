package cache

import "time"

// Serves reports whether a value or an absence in memory may be served at the given
// time, also if it should be renewed, which Get calls a miss.
func (c *Cache[V]) Serves(key Key, now time.Time) bool {
	return c.find(&key, now.Sub(c.start), now.UnixNano()) != nil
}
