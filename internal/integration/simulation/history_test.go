package simulation_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// An event is something that happened in a run: a call to a Manager or its result, a request to
// the store, the provider or the shared cache, or a message.
type event struct {
	at   time.Duration
	text string
}

func (e event) String() string { return fmt.Sprintf("\n%12v %s", e.at, e.text) }

// note adds an event to the history.
func (w *world) note(i *instance, what ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, event{w.now(), fmt.Sprintf("instance %d: %s", i.n, fmt.Sprint(what...))})
}

// events returns the history. Events of the same time are sorted by their text, since the
// scheduler decides their order.
func (w *world) events() []event {
	slices.SortFunc(w.history, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) })
	return w.history
}

// unique returns d or a little more, so that the duration ends at an instant at which nothing
// else happens. The time between two such instants is never a whole number of milliseconds, and
// never a few nanoseconds more than that. So timers of the product do not fire at them either:
// they are set to whole milliseconds or to parts of callTimeout. Otherwise a run could not be
// repeated, since goroutines that become runnable at the same instant run in any order. For the
// same reason, only one goroutine may call unique at an instant. Others call the method after.
func (w *world) unique(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	for end := (now + d + spacing - 1).Truncate(spacing); ; end += spacing {
		if part := end % time.Millisecond; !w.taken[part] {
			w.taken[part] = true
			return end - now
		}
	}
}

// spacing is the unit of the instants that unique chooses. A millisecond is a multiple of it.
const spacing = 100 * time.Nanosecond

// A pause has begun, but its end is not chosen yet.
type pause struct {
	name string
	d    time.Duration
	over chan struct{}
}

// after returns a channel that is closed after d, at an instant at which nothing else happens.
// Several goroutines may call after at the same instant, in any order. So the ends of their
// pauses are chosen a nanosecond later, in the order of the names.
func (w *world) after(d time.Duration, names ...any) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, p := w.now(), pause{fmt.Sprint(names...), d, make(chan struct{})}
	if w.begun[now] == nil {
		time.AfterFunc(time.Nanosecond, func() { w.end(now) })
	}
	w.begun[now] = append(w.begun[now], p)
	return p.over
}

// end chooses the ends of the pauses that began at the given time.
func (w *world) end(began time.Duration) {
	w.mu.Lock()
	pauses := w.begun[began]
	delete(w.begun, began)
	w.mu.Unlock()
	slices.SortStableFunc(pauses, func(a, b pause) int { return cmp.Compare(a.name, b.name) })
	for _, p := range pauses {
		time.AfterFunc(w.unique(p.d), func() { close(p.over) })
	}
}

// pause waits for a time that depends on the names: mostly up to d, and sometimes much longer,
// so that calls overtake each other.
func (w *world) pause(ctx context.Context, d time.Duration, names ...any) error {
	dice := w.chance(names...)
	if dice%8 == 0 {
		d = min(d*15, callTimeout*3/4)
	}
	select {
	case <-w.after(time.Duration(dice/8%uint64(d)), names...):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail returns errFault soon, but not at once: several callers may make the same call at
// the same instant, and all of them must find it in progress.
func (w *world) fail(ctx context.Context, names ...any) error {
	if err := w.pause(ctx, time.Millisecond, append(names, w.now(), "fails")...); err != nil {
		return err
	}
	return errFault
}
