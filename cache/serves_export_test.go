package cache

import "time"

// At returns the time for Get.
func (c *Cache[V]) At(t time.Time) Time { return c.opts.Clock.At(t) }

// Serves reports whether a cached value or absence may be served at the given time, even if
// it must be renewed, in which case Get misses.
func (c *Cache[V]) Serves(key Key, now time.Time) bool {
	return c.find(&key, c.At(now)) != nil
}

// PointerTo returns a pointer to a copy of v.
func PointerTo[V any](v V) *V { return &v }

// ValueOf returns what v points to, or the zero value for nil.
func ValueOf[V any](v *V) V {
	if v == nil {
		return *new(V)
	}
	return *v
}
