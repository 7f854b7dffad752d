package plans_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// history returns all states that are reported about an owner: three subscriptions and a
// dispute, some of them at the same instant. Each is a Subscription or a Hold.
func history(owner string) []any {
	var all []any
	for i, id := range []string{"", "sub_1", "sub_2"} {
		for version := range 6 {
			s := bought(owner, id, []string{"pro", "max", "free"}[(version+i)%3])
			s.StartedAt = noon.Add(time.Duration(i) * time.Hour)
			s.UpdatedAt, s.Version = noon.Add(time.Duration(version/2)*time.Second), int64(version%2)
			s.PeriodStart = s.StartedAt.Add(time.Duration(version) * time.Hour)
			s.PeriodEnd = s.StartedAt.Add(time.Duration(version+1) * 1000 * time.Hour)
			s.Status = []entitlement.Status{entitlement.Active, entitlement.PastDue, entitlement.Ended, entitlement.Active}[(version+i)%4]
			all = append(all, s)
		}
	}
	for version := range 6 {
		all = append(all, entitlement.Hold{
			Owner: owner, ID: "dispute", StartedAt: noon.Add(3 * time.Hour), PeriodStart: noon.Add(time.Duration(version) * time.Hour),
			Released: version%2 == 1, UpdatedAt: noon.Add(time.Duration(version/2) * time.Second), Version: int64(version % 2),
		})
	}
	return all
}

// putAny puts a Subscription or a Hold.
func putAny(ctx context.Context, p *sqlprovider.Provider, state any) (changed bool, err error) {
	if h, ok := state.(entitlement.Hold); ok {
		return p.PutHold(ctx, h)
	}
	return p.Put(ctx, state.(entitlement.Subscription))
}

// checkNewest fails unless the newest state of each subscription and hold in the history
// is stored.
func checkNewest(t *testing.T, p *sqlprovider.Provider, owner string) {
	t.Helper()
	all := history(owner)
	var want, got []any
	for i := 5; i < len(all); i += 6 {
		want = append(want, all[i])
	}
	for _, s := range slices.Backward(subscriptions(t, p, owner)) {
		got = append(got, s)
	}
	for _, h := range holds(t, p, owner) {
		got = append(got, h)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// E-01: the remaining states do not depend on the order of updates, on repetitions or on
// the writer, and each state counts as a change at most once.
func TestOrderMakesNoDifference(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		writers := []*sqlprovider.Provider{
			migrated(t, d, testkit.OpenDB(t, d.driver, dsn)), newProvider(t, d, testkit.OpenDB(t, d.driver, dsn), nil),
		}
		for round := range testkit.Scale(5, 1000) {
			owner := fmt.Sprint("owner ", round)
			changes := putAll(t, writers, replayed(history(owner)))
			checkNewest(t, writers[0], owner)
			for s, n := range changes {
				if n > 1 {
					t.Errorf("%+v: got it stored %d times, want at most once", s, n)
				}
			}
		}
	})
}

// replayed returns the states in random order, some of them several times.
func replayed(all []any) []any {
	for range len(all) / 2 {
		all = append(all, all[rand.IntN(len(all))])
	}
	shuffled := make([]any, len(all))
	for i, j := range rand.Perm(len(all)) {
		shuffled[i] = all[j]
	}
	return shuffled
}

// putAll puts the states from eight goroutines and counts for each how often it was
// stored.
func putAll(t *testing.T, writers []*sqlprovider.Provider, states []any) map[any]int {
	t.Helper()
	changes := map[any]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < len(states); n += 8 {
				changed, err := putAny(t.Context(), writers[i%len(writers)], states[n])
				if err != nil {
					t.Error(err)
				}
				if changed {
					mu.Lock()
					changes[states[n]]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return changes
}
