package apikey

import "time"

const (
	recentAge  = 24 * time.Hour // the least time that an entry is kept
	recentSize = 50_000         // the least number of latest entries that are kept
)

// A recent is a map of what happened lately. It keeps the latest recentSize
// entries for recentAge, and never more than twice as many for twice as long:
// when the young generation is full or old, it becomes the old one, and the old
// one is dropped. It is not safe for concurrent use.
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
