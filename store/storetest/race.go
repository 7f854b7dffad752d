package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var raceRules = []rule{
	{"The limit holds for 200 concurrent inserts", raceLimit},
	{"Exactly one of 50 concurrent rotations succeeds", raceRotate},
	{"Exactly one of 100 concurrent revocations changes the record", raceRevoke},
	{"Exactly one of 50 concurrent inserts of a record succeeds", raceInsert},
	{"Concurrent updates of different fields all take effect", raceUpdate},
	{"Touch never undoes a concurrent update or revocation", raceTouch},
	{"A concurrent rotation and revocation both take effect, or the revocation alone", raceRotateRevoke},
	{"Concurrent calls of RevokeAll return each record once, even during inserts", raceRevokeAll},
	{"Concurrent batches of Touch do not block each other", raceTouches},
}

// together makes n concurrent calls and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// tally returns how many calls succeeded. An error other than allowed fails the test.
func tally(t *testing.T, errs []error, allowed error, rule string) (succeeded int) {
	t.Helper()
	for _, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, allowed):
			t.Errorf("%s: got error %v, want %v or nil", rule, err, allowed)
		}
	}
	return succeeded
}

// Advisory 3. M-07.
func raceLimit(t *testing.T, s store.Store) {
	const limit = 25
	for round := range count(1, 20) {
		owner := fmt.Sprint("o", round)
		errs := together(200, func(i int) error {
			return s.Insert(t.Context(), fresh(owner, fmt.Sprint(owner, "-", i)), limit)
		})
		if n := tally(t, errs, store.ErrLimit, "concurrent inserts at the limit"); n != limit {
			t.Errorf("a limit of %d must hold exactly: %d of 200 concurrent inserts succeeded", limit, n)
		}
		page, err := s.List(t.Context(), store.Query{Owner: owner})
		if err != nil || len(page.Records) != limit {
			t.Errorf("a limit of %d must hold exactly: %d records are stored, %v", limit, len(page.Records), err)
		}
	}
}

// M-14
func raceRotate(t *testing.T, s store.Store) {
	for round, grace := range []time.Duration{0, time.Hour} {
		id := numbered("k", round)
		insert(t, s, fresh("o", id))
		var winner atomic.Value
		errs := together(50, func(i int) error {
			n := fmt.Sprint(id, "-", i)
			_, _, err := s.Rotate(t.Context(), "o", id, next(n, begin), begin.Add(grace), -1)
			if err == nil {
				winner.Store(n)
			}
			return err
		})
		if n := tally(t, errs, store.ErrConflict, "concurrent rotations of a record"); n != 1 {
			t.Errorf("exactly one of 50 concurrent rotations of a record must succeed: %d did", n)
		}
		old := get(t, s, "o", id)
		if old.ReplacedBy != winner.Load() {
			t.Errorf("the old record must name its successor: got %q, want %q", old.ReplacedBy, winner.Load())
		}
		page, err := s.List(t.Context(), store.Query{Owner: "o"})
		if err != nil || len(page.Records) != 2*(round+1) {
			t.Errorf("failed rotations must leave no record: got %d records, %v, want %d", len(page.Records), err, 2*(round+1))
		}
	}
}

func raceRevoke(t *testing.T, s store.Store) {
	insert(t, s, fresh("o", "k"))
	var first atomic.Value
	var changes atomic.Int64
	errs := together(100, func(i int) error {
		_, changed, err := s.Revoke(t.Context(), "o", "k", begin.Add(time.Duration(i)*time.Second), fmt.Sprint("reason ", i))
		if changed {
			changes.Add(1)
			first.Store(fmt.Sprint("reason ", i))
		}
		return err
	})
	tally(t, errs, nil, "concurrent revocations of a record")
	if changes.Load() != 1 {
		t.Fatalf("exactly one of 100 concurrent revocations must return changed: %d did", changes.Load())
	}
	if r := get(t, s, "o", "k"); r.RevokeReason != first.Load() || fmt.Sprint("reason ", int(r.RevokedAt.Sub(begin).Seconds())) != r.RevokeReason {
		t.Errorf("the time and reason must be those of the call that returned changed: got %v, %q, want %q", r.RevokedAt, r.RevokeReason, first.Load())
	}
}

func raceInsert(t *testing.T, s store.Store) {
	r := fresh("o", "k")
	errs := together(50, func(int) error { return s.Insert(t.Context(), r, -1) })
	if n := tally(t, errs, store.ErrDuplicate, "concurrent inserts of a record"); n != 1 {
		t.Errorf("exactly one of 50 concurrent inserts of a record must succeed: %d did", n)
	}
	holds(t, s, r, "the one insert that succeeded must be stored")
}

func raceUpdate(t *testing.T, s store.Store) {
	for round := range count(4, 40) {
		want := fresh("o", numbered("k", round))
		insert(t, s, want)
		name, at, later := "renamed", begin.Add(time.Second), begin.Add(time.Hour)
		changes := []store.Change{
			{At: begin, Name: &name}, {At: begin, Scopes: []string{"x"}}, {At: begin, Metadata: map[string]string{"x": "y"}},
			{At: begin, ExpiresAt: &later}, {At: begin, DisabledAt: &at},
		}
		errs := together(len(changes)+1, func(i int) error {
			if i == len(changes) {
				return s.Touch(t.Context(), []store.Use{{Digest: want.Digest, At: later}})
			}
			_, err := s.Update(t.Context(), "o", want.ID, changes[i])
			return err
		})
		tally(t, errs, nil, "concurrent changes of a record")
		want.Name, want.Scopes, want.Metadata, want.ExpiresAt = name, []string{"x"}, map[string]string{"x": "y"}, later
		want.DisabledAt, want.LastUsedAt = at, later
		holds(t, s, want, "a write must only write the fields that it changes")
	}
}

// C-06, advisory 2: a use that is written late must not undo the writes before it.
func raceTouch(t *testing.T, s store.Store) {
	for round := range count(6, 100) {
		r := fresh("o", numbered("k", round))
		insert(t, s, r)
		at := begin.Add(time.Minute)
		errs := together(9, func(i int) error {
			switch {
			case i < 8:
				return s.Touch(t.Context(), []store.Use{{Digest: r.Digest, At: at.Add(time.Duration(i) * time.Second)}})
			case round%2 == 0:
				_, err := s.Update(t.Context(), "o", r.ID, store.Change{At: begin, DisabledAt: &at})
				return err
			}
			_, _, err := s.Revoke(t.Context(), "o", r.ID, at, "leaked")
			return err
		})
		tally(t, errs, nil, "uses during a change")
		got := get(t, s, "o", r.ID)
		if round%2 == 0 && (!got.DisabledAt.Equal(at) || !got.LastUsedAt.Equal(at.Add(7*time.Second))) {
			t.Errorf("a use must not undo a concurrent disable, and must not be lost: got %+v", got)
		}
		if round%2 == 1 && (!got.RevokedAt.Equal(at) || got.RevokeReason != "leaked") {
			t.Errorf("a use must not undo a concurrent revocation: got %+v", got)
		}
	}
}

func raceRotateRevoke(t *testing.T, s store.Store) {
	for round := range count(6, 100) {
		r := fresh("o", numbered("k", round))
		insert(t, s, r)
		successor := next(numbered("n", round), begin)
		errs := together(2, func(i int) error {
			if i == 0 {
				_, _, err := s.Rotate(t.Context(), "o", r.ID, successor, begin.Add(time.Hour), -1)
				return err
			}
			_, _, err := s.Revoke(t.Context(), "o", r.ID, begin, "leaked")
			return err
		})
		tally(t, errs, store.ErrConflict, "a rotation during a revocation")
		old := get(t, s, "o", r.ID)
		_, err := s.Get(t.Context(), "o", successor.ID)
		rotated := errs[0] == nil
		if old.RevokedAt.IsZero() || rotated != (old.ReplacedBy != "") || rotated != (err == nil) {
			t.Errorf("the old record must be revoked, and replaced only if the rotation succeeded: rotated %v, got %+v, successor %v", rotated, old, err)
		}
	}
}

func raceRevokeAll(t *testing.T, s store.Store) {
	for round := range count(2, 40) {
		owner := fmt.Sprint("o", round)
		for i := range 5 {
			insert(t, s, fresh(owner, fmt.Sprint(owner, "-old-", i)))
		}
		var returned atomic.Int64
		errs := together(24, func(i int) error {
			if i >= 20 {
				all, err := s.RevokeAll(t.Context(), owner, begin, "closed")
				returned.Add(int64(len(all)))
				return err
			}
			return s.Insert(t.Context(), fresh(owner, fmt.Sprint(owner, "-new-", i)), -1)
		})
		tally(t, errs, nil, "RevokeAll during inserts")
		page, err := s.List(t.Context(), store.Query{Owner: owner})
		if err != nil || len(page.Records) != 25 {
			t.Fatalf("RevokeAll must not lose a record: got %d, %v, want 25", len(page.Records), err)
		}
		var revoked int64
		for _, r := range page.Records {
			if !r.RevokedAt.IsZero() {
				revoked++
			}
		}
		if revoked < 5 || revoked != returned.Load() {
			t.Errorf("each record must be returned by the one RevokeAll that revoked it: %d revoked, %d returned", revoked, returned.Load())
		}
	}
}

func raceTouches(t *testing.T, s store.Store) {
	const keys = 50
	var uses []store.Use
	for i := range keys {
		insert(t, s, fresh("o", numbered("k", i)))
		uses = append(uses, store.Use{Digest: digest(numbered("k", i)), At: begin.Add(time.Hour)})
	}
	touch(t, s, uses...) // sorts them
	errs := together(16, func(i int) error {
		part := append([]store.Use{}, uses[i:len(uses)-i]...)
		for j := range part {
			part[j].At = begin.Add(time.Hour + time.Duration(i)*time.Second)
		}
		return s.Touch(t.Context(), part)
	})
	tally(t, errs, nil, "concurrent batches of uses that are sorted by digest")
	for i := range keys {
		if r := get(t, s, "o", numbered("k", i)); r.LastUsedAt.Before(begin.Add(time.Hour)) {
			t.Fatalf("no use must be lost: record %d was last used %v", i, r.LastUsedAt)
		}
	}
}
