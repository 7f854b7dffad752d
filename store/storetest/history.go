package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var historyRules = []rule{
	{"The limit holds in every sequence of calls", historyLimit},
	{"A record that has expired for one write has expired for every later write", historyOfAnExpiry},
	{"A write with a slower clock never leaves a record that has expired according to a faster clock", historyOfASlowClock},
	{"Revoke and Rotate without a grace period work after a write with a clock far ahead", historyOfAWrongClock},
	{"The limit holds if an update removes an expiry while an insert counts it as passed", raceExpiry},
}

// M-17, invariant 4. Processes whose clocks differ by up to 2 s create, rotate, revoke
// and update the keys of one owner, while keys expire.
func historyLimit(t *testing.T, s store.Store) {
	began, n := time.Now(), 0
	for ; n < count(3, 100_000) && (n < 2000 || time.Since(began) < historyTime); n++ {
		h := newHistory(t, s, uint64(n))
		for range 30 {
			h.step()
			if h.check(); t.Failed() {
				break
			}
		}
		if h.checkRecords(); t.Failed() {
			t.Fatalf("the calls for owner %s:\n%s", h.owner, h.log)
		}
	}
	t.Logf("%d histories", n)
}

// historyTime bounds a soak run. Only a fast database completes the full number of
// histories.
const historyTime = 3 * time.Minute

// A history makes random calls for one owner, and compares the store with a model. The
// model counts differently from stores: it counts all current keys, and subtracts one
// for each newest key of a family whose direct predecessor is current.
type history struct {
	t      *testing.T
	s      store.Store
	rand   *rand.Rand
	owner  string
	limit  int
	clock  time.Time // the slowest of the processes' clocks
	latest time.Time // the latest instant of the writes that took effect
	excess int       // records above the limit that rotations without a grace period may have added
	keys   []*modelKey
	log    string
}

type modelKey struct {
	id                    string
	expires               time.Time
	revoked, disabled     bool
	predecessor, replaced *modelKey
}

func (k *modelKey) isCurrent(at time.Time) bool {
	return k != nil && !k.revoked && (k.expires.IsZero() || k.expires.After(at))
}

func newHistory(t *testing.T, s store.Store, seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 17))
	return &history{t: t, s: s, rand: r, owner: fmt.Sprint("o", seed), limit: 1 + r.IntN(3), clock: begin, latest: begin}
}

func (h *history) counted() int { return h.countedAt(h.latest) }

func (h *history) countedAt(at time.Time) (n int) {
	for _, k := range h.keys {
		if k.isCurrent(at) {
			n++
		}
		if k.isCurrent(at) && k.replaced == nil && k.predecessor.isCurrent(at) {
			n--
		}
	}
	return n
}

// step makes a random call as one of three processes, and compares its error with the
// model's.
func (h *history) step() {
	pauses := []time.Duration{0, time.Microsecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}
	h.clock = h.clock.Add(pauses[h.rand.IntN(len(pauses))])
	at := h.clock.Add(time.Duration(h.rand.IntN(3)) * time.Second)
	effective := at
	if h.latest.After(at) {
		effective = h.latest
	}
	var k *modelKey
	if len(h.keys) > 0 {
		k = h.keys[max(h.rand.IntN(len(h.keys)), h.rand.IntN(len(h.keys)))] // more often a recent one
	}
	call := h.rand.IntN(10)
	before := h.latest
	h.latest = effective
	var got, want error
	var what string
	switch {
	case call < 4 || k == nil:
		what, got, want = h.create(at)
	case call < 7:
		what, got, want = h.rotate(k, at)
	case call < 8:
		what, got, want = h.revoke(k, at)
	default:
		what, got, want = h.change(k, at)
	}
	if want != nil {
		h.latest = before // a refused write takes no effect
	}
	h.log += fmt.Sprintf("%s %s: %v\n", at.Format(time.RFC3339Nano), what, got)
	if !errors.Is(got, want) {
		h.t.Errorf("%s at %v, effective at %v, with a limit of %d: got %v, want %v", what, at, effective, h.limit, got, want)
	}
}

// end returns a random expiry, often soon after at.
func (h *history) end(at time.Time) time.Time {
	lives := []time.Duration{time.Millisecond, time.Second, 2 * time.Second, time.Minute, 2 * time.Hour, 7 * 24 * time.Hour}
	return at.Add(lives[h.rand.IntN(len(lives))])
}

func (h *history) create(at time.Time) (string, error, error) {
	r := fresh(h.owner, fmt.Sprint(h.owner, "-", len(h.keys)))
	r.CreatedAt = at
	if h.rand.IntN(2) == 0 {
		r.ExpiresAt = h.end(at)
	}
	got := h.s.Insert(h.t.Context(), r, h.limit)
	if r.IsExpired(h.latest) {
		return "create " + r.ID, got, store.ErrConflict
	}
	if h.counted() >= h.limit {
		return "create " + r.ID, got, store.ErrLimit
	}
	h.keys = append(h.keys, &modelKey{id: r.ID, expires: r.ExpiresAt})
	return "create " + r.ID, got, nil
}

func (h *history) rotate(k *modelKey, at time.Time) (string, error, error) {
	made := &modelKey{id: fmt.Sprint(h.owner, "-", len(h.keys)), expires: k.expires, predecessor: k}
	ends, graced := at, h.rand.IntN(4) > 0
	if graced {
		ends = h.end(at)
	}
	what := fmt.Sprintf("rotate %s to %s until %v", k.id, made.id, ends)
	_, _, got := h.s.Rotate(h.t.Context(), h.owner, k.id, next(made.id, at), ends, h.limit)
	effective := h.latest
	if !graced {
		effective = at // otherwise a clock far ahead could prevent the rotation of a leaked key
	}
	if !k.isCurrent(effective) || k.disabled || k.replaced != nil {
		return what, got, store.ErrConflict
	}
	before, kept := h.counted(), *k
	k.replaced, h.keys = made, append(h.keys, made)
	if graced = ends.After(h.latest); !graced {
		k.revoked = true
		h.excess = max(h.excess, h.counted()-h.limit)
	} else if k.expires.IsZero() || ends.Before(k.expires) {
		k.expires = ends
	}
	if graced && h.counted() > h.limit {
		*k, h.keys = kept, h.keys[:len(h.keys)-1]
		return what, got, store.ErrConflict
	}
	if h.counted() > before+1 {
		h.t.Errorf("%s: a rotation must add at most one record that counts", what)
	}
	return what, got, nil
}

func (h *history) revoke(k *modelKey, at time.Time) (string, error, error) {
	_, _, got := h.s.Revoke(h.t.Context(), h.owner, k.id, at, "gone")
	k.revoked = true
	return "revoke " + k.id, got, nil
}

func (h *history) change(k *modelKey, at time.Time) (string, error, error) {
	c := store.Change{At: at}
	what, disabled, expires := "enable ", time.Time{}, time.Time{}
	switch h.rand.IntN(4) {
	case 0:
		what, c.DisabledAt = "enable ", &disabled
	case 1:
		disabled = at
		what, c.DisabledAt = "disable ", &disabled
	case 2:
		expires = h.end(at)
		fallthrough
	case 3:
		what, c.ExpiresAt = fmt.Sprintf("expire at %v ", expires), &expires
	}
	_, got := h.s.Update(h.t.Context(), h.owner, k.id, c)
	moves := c.ExpiresAt != nil
	past := !expires.IsZero() && !expires.After(h.latest)
	if k.revoked || moves && (k.replaced != nil || !k.isCurrent(h.latest) || past) {
		return what + k.id, got, store.ErrConflict
	}
	if moves {
		k.expires = expires
	} else {
		k.disabled = !disabled.IsZero()
	}
	return what + k.id, got, nil
}

// check compares the store's count with the model's, and both with the limit. It also checks the
// count at the instants of slower clocks, at which more records may count.
func (h *history) check() {
	for behind := range 3 {
		at := h.latest.Add(-time.Duration(behind) * time.Second)
		counts(h.t, h.s, h.owner, at, h.countedAt(at), fmt.Sprintf("%d s before the latest write", behind))
	}
	if n := h.counted(); n > h.limit+h.excess {
		h.t.Errorf("%d records count, and rotations without a grace period may have added %d to the limit of %d", n, h.excess, h.limit)
	}
	working := 0
	for _, k := range h.keys {
		if k.isCurrent(h.latest) && !k.disabled {
			working++
		}
	}
	if working > 2*h.limit {
		h.t.Errorf("%d keys are active, want at most twice the limit of %d", working, h.limit)
	}
}

// checkRecords compares the store's records with the model's keys.
func (h *history) checkRecords() {
	records := map[string]store.Record{}
	for _, r := range follow(h.t, h.s, store.Query{Owner: h.owner}, func(*store.Query) {}) {
		records[r.ID] = r
	}
	if len(records) != len(h.keys) {
		h.t.Errorf("%d records are stored, want %d", len(records), len(h.keys))
	}
	for _, k := range h.keys {
		r := records[k.id]
		if !r.ExpiresAt.Equal(k.expires) || r.RevokedAt.IsZero() == k.revoked || r.DisabledAt.IsZero() == k.disabled {
			h.t.Errorf("got %+v, want it to expire at %v, revoked %v, disabled %v", r, k.expires, k.revoked, k.disabled)
		}
	}
}

// M-17: the order of the writes counts, not their clocks.
func historyOfAnExpiry(t *testing.T, s store.Store) {
	k, changed := fresh("o", "k"), fresh("o", "changed")
	k.ExpiresAt = begin.Add(time.Minute)
	changed.ExpiresAt = begin.Add(time.Hour)
	insert(t, s, k, changed)
	before, after := k.ExpiresAt.Add(-time.Millisecond), k.ExpiresAt.Add(time.Millisecond)
	refused := fresh("o", "refused")
	refused.CreatedAt = after
	wants(t, s.Insert(t.Context(), refused, 1), store.ErrLimit, "after the expiry of one record the other must count")
	equal(t, update(t, s, k, store.Change{At: before, ExpiresAt: &k.ExpiresAt}), k, "a refused write must not advance the owner's latest instant")
	late := fresh("o", "late")
	late.CreatedAt = after
	wants(t, s.Insert(t.Context(), late, 2), nil, "an expired record must not count")
	_, err := s.Update(t.Context(), "o", "k", store.Change{At: before, ExpiresAt: &time.Time{}})
	wants(t, err, store.ErrConflict, "Update must use the owner's latest instant: the record has expired by it")
	_, _, err = s.Rotate(t.Context(), "o", "k", next("n", before), before.Add(time.Hour), -1)
	wants(t, err, store.ErrConflict, "Rotate must use the owner's latest instant: the record has expired by it")

	for i, move := range []func(at time.Time) error{
		func(at time.Time) error { return s.Insert(t.Context(), created("p", "moves", at), -1) },
		func(at time.Time) error { _, err := s.Update(t.Context(), "p", "k1", store.Change{At: at}); return err },
		func(at time.Time) error { _, _, err := s.Revoke(t.Context(), "p", "x", at, ""); return err },
		func(at time.Time) error {
			_, _, err := s.Rotate(t.Context(), "p", "moves", next("n", at), at, -1)
			return err
		},
	} {
		id := numbered("k", i)
		if i == 0 {
			insert(t, s, fresh("p", "k1"), fresh("p", "x"))
		}
		at := begin.Add(time.Duration(i+1) * time.Hour)
		soon := created("p", id, begin)
		soon.ExpiresAt = at
		insert(t, s, soon)
		if err := move(at); err != nil {
			t.Fatal(err)
		}
		_, err := s.Update(t.Context(), "p", id, store.Change{At: begin, ExpiresAt: &time.Time{}})
		wants(t, err, store.ErrConflict, fmt.Sprint("every write must advance the owner's latest instant: write ", i))
	}
}

// M-17: a record that expires between two clocks would never count, but would work
// according to the slower clock.
func historyOfASlowClock(t *testing.T, s store.Store) {
	ctx, ahead := t.Context(), begin.Add(2*time.Second)
	insert(t, s, fresh("o", "k"), created("o", "first", ahead))
	for _, end := range []time.Time{begin.Add(time.Second), ahead} {
		r := fresh("o", "short")
		r.ExpiresAt = end
		wants(t, s.Insert(ctx, r, -1), store.ErrConflict, "Insert must use the owner's latest instant: the record has expired by it")
		_, err := s.Lookup(ctx, r.Digest)
		wants(t, err, store.ErrNotFound, "a refused record must not be stored")
		_, err = s.Update(ctx, "o", "k", store.Change{At: begin, ExpiresAt: &end})
		wants(t, err, store.ErrConflict, "Update must use the owner's latest instant: the expiry has passed by it")
	}
	r := fresh("o", "k")
	r.ExpiresAt = ahead
	wants(t, s.Insert(ctx, r, 0), store.ErrDuplicate, "Insert must check for duplicates before the expiry")
	r = fresh("o", "long")
	r.ExpiresAt = ahead.Add(time.Microsecond)
	wants(t, s.Insert(ctx, r, -1), nil, "Insert of a record that expires after the owner's latest instant")
	counts(t, s, "o", begin, 3, "a refused record must not count according to a slower clock")
	old, _, err := s.Rotate(ctx, "o", "k", next("n", begin), ahead, 3)
	wants(t, err, nil, "Rotate with a grace period that has ended according to a faster clock")
	if !old.RevokedAt.Equal(begin) || old.RevokeReason != store.ReasonRotated {
		t.Errorf("a grace period that has ended according to a faster clock must end the record at once: got %+v", old)
	}
	holds(t, s, old, "Rotate must return the old record as stored")
}

// M-17: after a write with a clock ten years ahead, every key with an expiry has expired
// for other writes.
func historyOfAWrongClock(t *testing.T, s store.Store) {
	ctx := t.Context()
	k, leaked := fresh("o", "k"), fresh("o", "leaked")
	k.ExpiresAt, leaked.ExpiresAt = begin.AddDate(1, 0, 0), begin.AddDate(1, 0, 0)
	insert(t, s, k, leaked, created("o", "ahead", begin.AddDate(10, 0, 0)))
	_, _, err := s.Rotate(ctx, "o", "k", next("graced", begin), begin.Add(time.Hour), -1)
	wants(t, err, store.ErrConflict, "Rotate with a grace period must use the owner's latest instant: the record has expired by it")
	old, now, err := s.Rotate(ctx, "o", "k", next("n", begin), begin, 0)
	wants(t, err, nil, "Rotate without a grace period after a write with a clock far ahead")
	if old.RevokedAt.IsZero() || !now.ExpiresAt.Equal(k.ExpiresAt) {
		t.Errorf("Rotate without a grace period: got %+v and %+v", old, now)
	}
	revoke(t, s, leaked, begin, "leaked")
	wants(t, s.Insert(ctx, fresh("o", "endless"), 5), nil, "Insert without an expiry after a write with a clock far ahead")
	counts(t, s, "o", begin, 3, "the successor, the record of the wrong clock and the new record must count")
	if all, err := s.RevokeAll(ctx, "o", begin, "closed"); err != nil || len(all) != 3 {
		t.Errorf("RevokeAll after a write with a clock far ahead: got %d records, %v, want 3", len(all), err)
	}
}

func created(owner, id string, at time.Time) store.Record {
	r := fresh(owner, id)
	r.CreatedAt = at
	return r
}

// M-17: an update 1 ms before the expiry of a record races with an insert 1 ms after it.
func raceExpiry(t *testing.T, s store.Store) {
	for round := range count(6, 1000) {
		owner := fmt.Sprint("o", round)
		k := fresh(owner, owner+"-k")
		k.ExpiresAt = begin.Add(time.Minute)
		insert(t, s, k)
		late := created(owner, owner+"-late", k.ExpiresAt.Add(time.Millisecond))
		errs := together(2, func(i int) error {
			if i == 0 {
				return s.Insert(t.Context(), late, 1)
			}
			_, err := s.Update(t.Context(), owner, k.ID, store.Change{At: k.ExpiresAt.Add(-time.Millisecond), ExpiresAt: &time.Time{}})
			return err
		})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("exactly one must succeed: the insert, or the update that removes the expiry: got %v and %v", errs[0], errs[1])
		}
		counts(t, s, owner, late.CreatedAt, 1, "a limit of 1 must hold at an expiry")
	}
}
