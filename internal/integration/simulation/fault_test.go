package simulation_test

import (
	"errors"
	"math/rand/v2"
	"time"
)

// A kind of fault.
type kind int

const (
	storeError  kind = iota // calls fail at once
	storeSlow               // calls take almost their whole timeout
	storeHang               // calls return when their context ends
	storeLost               // writes are made, but return an error
	storeLate               // writes ignore their context, and are made after the caller has returned
	busCut                  // no connection
	busLoss                 // some messages are lost
	busBlackout             // all messages are lost, but the connection stays open
	busRepeat               // messages arrive twice, and again later
	busReorder              // messages overtake each other
	busDamage               // a character is changed
	sharedError             // calls fail at once
	sharedHang              // calls return when their context ends
	sharedLost              // deletes are made, but return an error
	planError
	planHang
	kinds
)

func (k kind) String() string {
	return [...]string{
		"store error", "slow store", "hanging store", "lost response of the store", "late write",
		"bus cut", "bus loss", "bus blackout", "bus repeats", "bus reorders", "bus damages",
		"shared cache error", "hanging shared cache", "lost response of the shared cache", "plan error", "hanging plans",
	}[k]
}

func (k kind) ofBus() bool    { return k >= busCut && k <= busDamage }
func (k kind) ofShared() bool { return k >= sharedError && k <= sharedLost }

// ofTruth reports whether the fault is one of the store or the provider.
func (k kind) ofTruth() bool { return k.ofStore() || k.ofPlans() }
func (k kind) ofStore() bool { return k <= storeLate }
func (k kind) ofPlans() bool { return k >= planError }

// A fault lasts for a time, for one instance or for all.
type fault struct {
	kind     kind
	from, to time.Duration
	instance int // -1: all
}

var errFault = errors.New("simulated fault")

// chooseFaults spreads faults over the first three quarters of a run, so that the instances
// can converge in the last one. A quarter of the runs has no faults.
func chooseFaults(w *world, rng *rand.Rand) (all []fault) {
	n := rng.IntN(8)
	if rng.IntN(4) == 0 {
		n = 0
	}
	length := time.Duration(w.steps) * w.pace / 4
	for range n {
		f := fault{kind: kind(rng.IntN(int(kinds))), instance: rng.IntN(w.settings.instances+1) - 1}
		f.from = time.Duration(rng.Int64N(int64(length * 3 / 4)))
		f.to = f.from + time.Duration(rng.Int64N(int64(15*time.Second)))
		all = append(all, f)
	}
	return all
}

// broken reports whether the instance has a fault of the kind now.
func (w *world) broken(i *instance, k kind) bool {
	now := w.now()
	for _, f := range w.faults {
		if f.kind == k && (f.instance < 0 || f.instance == i.n) && f.from <= now && now < f.to {
			return true
		}
	}
	return false
}

// brokenWithin reports whether any instance had such a fault at some time between from and to.
func (w *world) brokenWithin(from, to time.Duration, such func(kind) bool) bool {
	for _, f := range w.faults {
		if such(f.kind) && f.from <= to && from <= f.to {
			return true
		}
	}
	return false
}

// next returns the time until such a fault begins, or a very long time.
func (w *world) next(i *instance, k kind) time.Duration {
	least := 1000 * time.Hour
	for _, f := range w.faults {
		if left := f.from - w.now(); f.kind == k && (f.instance < 0 || f.instance == i.n) && left >= 0 {
			least = min(least, left)
		}
	}
	return least
}
