package apikey

import "time"

const (
	recentAge  = 24 * time.Hour // minimum time for which the latest recentSize entries are kept
	recentSize = 50_000         // minimum number of entries that are kept for recentAge
)

// A recent is a map of recent entries. It keeps at least the latest recentSize
// entries, each for at least recentAge, and at most twice as many. When the young
// generation is full or older than recentAge, the next entry makes it the old
// generation, and the previous old generation is dropped. It is not safe for
// concurrent use.
type recent[K comparable, V any] struct {
	young, old map[K]V
	since      time.Time // when the young generation began
}

func (r *recent[K, V]) get(key K) (v V, ok bool) {
	if v, ok = r.young[key]; !ok {
		v, ok = r.old[key]
	}
	return v, ok
}

func (r *recent[K, V]) set(key K, v V) {
	if r.young == nil || len(r.young) >= recentSize || time.Since(r.since) >= recentAge {
		r.young, r.old, r.since = map[K]V{}, r.young, time.Now()
	}
	delete(r.old, key)
	r.young[key] = v
}

func (r *recent[K, V]) remove(key K) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
