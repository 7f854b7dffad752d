package cache

// A batch is what goes out together.
type batch struct {
	keys, groups []Key
	done         chan struct{} // closed when err says what became of it
	err          error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxUntold bounds the names that are kept to be sent again. Others then doubt
// everything, but may find in a second level what was to be forgotten.
const maxUntold = 4096

func (b *batch) names() int { return len(b.keys) + len(b.groups) }

// add takes over what another batch names, unless that would be too many.
func (b *batch) add(other *batch) {
	if b.names()+other.names() <= maxUntold {
		b.keys, b.groups = append(b.keys, other.keys...), append(b.groups, other.groups...)
	}
}

// take returns a new batch of some of the names, which are b's no more.
func (b *batch) take(most int) *batch {
	some := newBatch()
	some.keys, b.keys = cut(b.keys, most)
	some.groups, b.groups = cut(b.groups, most-len(some.keys))
	return some
}

func cut(names []Key, most int) (some, rest []Key) {
	n := min(len(names), most)
	return names[:n:n], names[n:]
}
