package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// revocationRules apply to stores that implement [store.RevocationCounter].
var revocationRules = []rule{
	{"Revocations counts every revocation once", revocationsCount},
	{"Revocations counts concurrent revocations", revocationsRace},
}

// revocations returns the count. It skips the test if the store does not count.
func revocations(t *testing.T, s store.Store) store.Revocations {
	t.Helper()
	counter, ok := s.(store.RevocationCounter)
	if !ok {
		t.Skip("the store does not implement RevocationCounter")
	}
	r, err := counter.Revocations(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the underlying store does not implement RevocationCounter")
	}
	if err != nil {
		t.Fatalf("Revocations: %v", err)
	}
	if r.Lineage == "" {
		t.Error("Revocations: the lineage is empty")
	}
	return r
}

//
func revocationsCount(t *testing.T, s store.Store) {
	first := revocations(t, s)
	insert(t, s, fresh("o", "revoked"), fresh("o", "rotated"), fresh("o", "graced"), fresh("o", "k1"), fresh("o", "k2"), fresh("p", "other"))
	want := first.Count
	counts := func(more int64, rule string) {
		t.Helper()
		want += more
		if got := revocations(t, s); got.Count != want || got.Lineage != first.Lineage {
			t.Errorf("%s: got %+v, want count %d and lineage %s", rule, got, want, first.Lineage)
		}
	}
	counts(0, "Insert must not count")
	revoke(t, s, fresh("o", "revoked"), begin, "")
	counts(1, "Revoke must count once")
	revoke(t, s, fresh("o", "revoked"), begin, "")
	counts(0, "a repeated Revoke must not count")
	rotate := func(id string, ends time.Time) {
		if _, _, err := s.Rotate(t.Context(), "o", id, next(id+"-next", begin), ends, -1); err != nil {
			t.Fatalf("Rotate: %v", err)
		}
	}
	rotate("graced", begin.Add(time.Hour))
	counts(0, "Rotate with a grace period must not count")
	rotate("rotated", begin)
	counts(1, "Rotate without a grace period must count")
	all, err := s.RevokeAll(t.Context(), "o", begin, "")
	if err != nil {
		t.Fatalf("RevokeAll: %v", err)
	}
	counts(int64(len(all)), "RevokeAll must count each record")
	if _, err := s.RevokeAll(t.Context(), "o", begin, ""); err != nil {
		t.Fatalf("RevokeAll: %v", err)
	}
	counts(0, "a repeated RevokeAll must not count")
}

// no revocation is lost, and revocations do not deadlock.
func revocationsRace(t *testing.T, s store.Store) {
	before := revocations(t, s).Count
	const owners, keys = 4, 5
	var all sync.WaitGroup
	for o := range owners {
		owner := numbered("o", o)
		for k := range keys {
			insert(t, s, fresh(owner, owner+numbered("k", k)))
		}
		for k := range keys {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var err error
				switch id := owner + numbered("k", k); k {
				case 0:
					_, err = s.RevokeAll(ctx, owner, begin, "")
				case 1: // RevokeAll may come first
					_, _, err = s.Rotate(ctx, owner, id, next(id+"-next", begin), begin, -1)
				default:
					_, _, err = s.Revoke(ctx, owner, id, begin, fmt.Sprint(k))
				}
				if err != nil && (k != 1 || !errors.Is(err, store.ErrConflict)) {
					t.Errorf("a revocation during others: %v", err)
				}
			})
		}
	}
	all.Wait()
	if n, made := revocations(t, s).Count-before, revoked(t, s, owners); n != made {
		t.Errorf("Revocations must count every one of the concurrent revocations: it counted %d, want %d", n, made)
	}
}

// revoked returns the number of revoked records of the first n owners.
func revoked(t *testing.T, s store.Store, n int) (sum int64) {
	t.Helper()
	for o := range n {
		page, err := s.List(t.Context(), store.Query{Owner: numbered("o", o)})
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		for _, r := range page.Records {
			if !r.RevokedAt.IsZero() {
				sum++
			}
		}
	}
	return sum
}
