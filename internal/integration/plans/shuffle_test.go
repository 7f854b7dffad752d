package plans_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// history returns all states that are reported about an owner: three subscriptions and a
// dispute, some of them at the same instant.
func history(owner string) []entitlement.Subscription {
	var all []entitlement.Subscription
	for i, id := range []string{"", "sub_1", "sub_2", "dispute"} {
		for version := range 6 {
			s := bought(owner, id, []string{"pro", "max", "free"}[(version+i)%3])
			s.StartedAt = noon.Add(time.Duration(i) * time.Hour)
			s.UpdatedAt, s.Version = noon.Add(time.Duration(version/2)*time.Second), int64(version%2)
			s.PeriodStart = s.StartedAt.Add(time.Duration(version) * time.Hour)
			s.PeriodEnd = s.StartedAt.Add(time.Duration(version+1) * 1000 * time.Hour)
			s.Status = []entitlement.Status{entitlement.Active, entitlement.PastDue, entitlement.Ended, entitlement.Active}[(version+i)%4]
			if id == "dispute" {
				s.Status = []entitlement.Status{entitlement.Held, entitlement.Ended}[version%2]
			}
			all = append(all, s)
		}
	}
	return all
}

// left returns the states that must remain of a history, the one that began last first.
func left(all []entitlement.Subscription) []entitlement.Subscription {
	var kept []entitlement.Subscription
	for i := len(all) - 1; i >= 0; i -= 6 {
		kept = append(kept, all[i])
	}
	return kept
}

// E-01: the remaining states do not depend on the order of updates, on repetitions or on
// the writer, and each state counts as a change at most once.
func TestOrderMakesNoDifference(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		dsn := d.dsn(t)
		writers := []*sqlprovider.Provider{
			migrated(t, d, openDB(t, d.driver, dsn)), newProvider(t, d, openDB(t, d.driver, dsn), nil),
		}
		for round := range testkit.Scale(5, 1000) {
			owner := fmt.Sprint("owner ", round)
			all := history(owner)
			changes := putAll(t, writers, replayed(all))
			if got, want := subscriptions(t, writers[0], owner), left(all); !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
			for s, n := range changes {
				if n > 1 {
					t.Errorf("%+v was stored %d times, want at most once", s, n)
				}
			}
		}
	})
}

// replayed returns the states in random order, some of them several times.
func replayed(all []entitlement.Subscription) []entitlement.Subscription {
	for range len(all) / 2 {
		all = append(all, all[rand.IntN(len(all))])
	}
	shuffled := make([]entitlement.Subscription, len(all))
	for i, j := range rand.Perm(len(all)) {
		shuffled[i] = all[j]
	}
	return shuffled
}

// putAll puts the states from eight goroutines and counts for each how often it was
// stored.
func putAll(t *testing.T, writers []*sqlprovider.Provider, states []entitlement.Subscription) map[entitlement.Subscription]int {
	t.Helper()
	changes := map[entitlement.Subscription]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := i; n < len(states); n += 8 {
				changed, err := writers[i%len(writers)].Put(t.Context(), states[n])
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
