package cluster_test

import (
	"math"
	"sync"
)

// An event is a call to an instance and its result. Times are Unix nanoseconds.
type event struct {
	member int
	life   int // how often the instance was started before
	verb   string
	key    int
	answer string // "" if the instance ended before it replied
	begin  int64
	end    int64 // for a call without a reply: never
}

const never = math.MaxInt64

// made reports whether the caller knows that the change was made.
func (e *event) made() bool { return e.answer == accepted || e.answer == notPropagated }

// A trouble is a fault and the time until its effects have ended.
type trouble struct {
	name       string
	store      bool // some instance cannot reach the store
	begin, end int64
}

// A history holds all keys, events and faults.
type history struct {
	mu       sync.Mutex
	events   []event
	troubles []trouble
	keys     []key
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// know adds a new key and returns its number.
func (h *history) know(k key) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = append(h.keys, k)
	return len(h.keys) - 1
}

func (h *history) key(n int) key {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[n]
}

// byKey splits the events of each key into validations and changes.
func (h *history) byKey() (validations, changes map[int][]event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	validations, changes = map[int][]event{}, map[int][]event{}
	for _, e := range h.events {
		if e.verb == "validate" {
			validations[e.key] = append(validations[e.key], e)
		} else {
			changes[e.key] = append(changes[e.key], e)
		}
	}
	return validations, changes
}
