package cluster_test

import (
	"math"
	"sync"
)

// An event is a call of an instance and what it answered. Instants are in Unix
// nanoseconds.
type event struct {
	member int
	life   int // how often the instance had been started
	verb   string
	key    int
	answer string // "" when the instance ended before it could tell
	begin  int64
	end    int64 // of a call without an answer: never
}

const never = math.MaxInt64

// told reports whether the caller knows that the change was made.
func (e *event) told() bool { return e.answer == accepted || e.answer == notPropagated }

// A trouble is a fault of the nemesis, until all is well again.
type trouble struct {
	name       string
	store      bool // the store is out of reach of someone
	begin, end int64
}

// A history is all that has happened.
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

// know is told of a new key, and returns its number.
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

// byKey parts the events of each key into validations and changes.
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
