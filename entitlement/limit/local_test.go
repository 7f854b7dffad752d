package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/entitlement/limit"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func newLocal(t testing.TB, opts *limit.LocalOptions) *limit.Local {
	t.Helper()
	l, err := limit.NewLocal(opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func take(t testing.TB, l limit.Limiter, owner string, rules []limit.Rule, cost int64) limit.Decision {
	t.Helper()
	d, err := l.Take(context.Background(), owner, rules, cost)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func peek(t testing.TB, l limit.Limiter, owner string, rules []limit.Rule) []int64 {
	t.Helper()
	remaining, err := l.Peek(context.Background(), owner, rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return remaining
}

// A usage is a number of units that were admitted at an instant.
type usage struct {
	at    time.Time
	units int64
}

// inWindow returns the units of the window that ends now, and removes older ones.
func inWindow(used *[]usage, window time.Duration) (sum int64) {
	now := time.Now()
	for len(*used) > 0 && now.Sub((*used)[0].at) >= window {
		*used = (*used)[1:]
	}
	for _, u := range *used {
		sum += u.units
	}
	return sum
}

// L-01, invariant 15: no window has more than the units of its rule, however the units arrive.
// A window with the most units ends when units are admitted, so it is enough to look at these
// windows.
func TestNoWindowHasMore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 15))
			l := newLocal(t, nil)
			window := time.Duration(1+r.IntN(3600))*time.Second + time.Duration(r.IntN(1_000_000_000))
			rules := []limit.Rule{{Name: "burst", Units: 1 + r.Int64N(50), Window: min(window, limit.MaxWindow)}}
			var used []usage
			admitted := int64(0)
			for range testkit.Trials(100_000, 2_500_000) {
				// Bursts, pauses of about a bucket, of about a window, and the instants at which a
				// bucket or a window ends.
				switch width := (rules[0].Window + 59) / 60; r.IntN(40) {
				case 0:
					time.Sleep(time.Duration(r.Int64N(int64(2 * rules[0].Window))))
				case 1, 2, 3:
					time.Sleep(time.Duration(r.Int64N(int64(3 * width))))
				case 4:
					time.Sleep(rules[0].Window - time.Duration(r.IntN(3)))
				case 5:
					time.Sleep(width - time.Duration(time.Now().UnixNano())%width)
				}
				cost := int64(1)
				if r.IntN(4) == 0 {
					cost = r.Int64N(rules[0].Units + 2)
				}
				before := inWindow(&used, rules[0].Window)
				d := take(t, l, "o", rules, cost)
				if !d.Allowed {
					continue
				}
				if admitted += cost; before+cost > rules[0].Units {
					t.Fatalf("seed %d, %+v: %d units in a window", seed, rules[0], before+cost)
				}
				used = append(used, usage{time.Now(), cost})
			}
			if admitted == 0 {
				t.Error("nothing was admitted")
			}
		})
	}
}

// L-01: units that were taken at the end of a bucket count until the window has passed, even if it
// cannot be divided into equal buckets.
func TestWindowThatCannotBeDivided(t *testing.T) {
	t.Parallel()
	for rest := range time.Duration(60) {
		synctest.Test(t, func(t *testing.T) {
			const part = time.Second / 50
			l := newLocal(t, nil)
			rules := []limit.Rule{{Name: "burst", Units: 1, Window: 60*part + rest}}
			time.Sleep(part - 1)
			take(t, l, "o", rules, 1)
			time.Sleep(rules[0].Window - 1)
			if take(t, l, "o", rules, 1).Allowed {
				t.Errorf("a window of %v: 2 units", rules[0].Window)
			}
		})
	}
}

// L-01: an owner that uses all of its units gets at least 59/60 of the units in the long run.
func TestSustainedRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, nil)
		rules := []limit.Rule{{Name: "burst", Units: 600, Window: time.Minute}}
		admitted, began := 0, time.Now()
		for time.Since(began) < 100*time.Minute {
			if take(t, l, "o", rules, 1).Allowed {
				admitted++
			} else {
				time.Sleep(37 * time.Millisecond)
			}
		}
		if want := 100 * 600 * 59 / 60; admitted < want || admitted > 101*600 {
			t.Errorf("got %d units in 100 minutes, want at least %d", admitted, want)
		}
	})
}

// After RetryAfter, the same Take is allowed, and not before.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		l := newLocal(t, nil)
		rules := []limit.Rule{{Name: "burst", Units: 10, Window: 10 * time.Second}, {Name: "hour", Units: 100, Window: time.Hour}}
		for range testkit.Trials(10_000, 100_000) {
			cost := 1 + r.Int64N(10)
			d := take(t, l, "o", rules, cost)
			if d.Allowed {
				time.Sleep(time.Duration(r.Int64N(int64(5 * time.Second))))
				continue
			}
			if d.RetryAfter <= 0 || d.RetryAfter > time.Hour+time.Minute {
				t.Fatalf("RetryAfter: got %v", d.RetryAfter)
			}
			time.Sleep(d.RetryAfter - 1)
			if early := take(t, l, "o", rules, cost); early.Allowed || early.Rule != d.Rule {
				t.Fatalf("a nanosecond before RetryAfter: got %+v, want a refusal of rule %d", early, d.Rule)
			}
			time.Sleep(time.Nanosecond)
			if late := take(t, l, "o", rules, cost); !late.Allowed {
				t.Fatalf("after RetryAfter of %v: got %+v", d.RetryAfter, late)
			}
		}
		if d := take(t, l, "o", rules, 11); d.Allowed || d.RetryAfter != limit.Never || d.Rule != 0 {
			t.Errorf("a cost above the limit: got %+v, want Never", d)
		}
	})
}

// L-04: a Take takes from all rules or from none.
func TestAllRulesOrNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		l := newLocal(t, nil)
		rules := []limit.Rule{
			{Name: "second", Units: 5, Window: time.Second}, {Name: "minute", Units: 60, Window: time.Minute}, {Name: "hour", Units: 900, Window: time.Hour},
		}
		for range testkit.Trials(50_000, 1_000_000) {
			time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			cost := r.Int64N(4)
			before := peek(t, l, "o", rules)
			d := take(t, l, "o", rules, cost)
			after := peek(t, l, "o", rules)
			for i := range rules {
				want := before[i]
				if d.Allowed {
					want -= cost
				}
				if after[i] != want {
					t.Fatalf("%+v: %d units left of rule %d before, %d after", d, before[i], i, after[i])
				}
			}
			if least := slices.Min(after); d.Allowed && d.Remaining != least || d.Remaining != after[d.Rule] {
				t.Fatalf("got %+v, want %v left", d, after)
			}
		}
	})
}

// Settle gives back what was not used, in the window in which it was taken, and takes what was
// used besides.
func TestSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, nil)
		rules := []limit.Rule{{Name: "burst", Units: 10, Window: time.Minute}}
		settle := func(d limit.Decision, used int64) {
			if err := l.Settle(t.Context(), "o", rules, d.Receipt, used); err != nil {
				t.Fatal(err)
			}
		}
		left := func(want int64) {
			t.Helper()
			if got := peek(t, l, "o", rules)[0]; got != want {
				t.Errorf("got %d units left, want %d", got, want)
			}
		}
		d := take(t, l, "o", rules, 6)
		settle(d, 2)
		left(8)
		d = take(t, l, "o", rules, 3)
		settle(d, 3)
		left(5)
		settle(take(t, l, "o", rules, 3), 4)
		left(1)
		settle(take(t, l, "o", rules, 1), 7)
		left(0)
		time.Sleep(59 * time.Second)
		if d := take(t, l, "o", rules, 1); d.Allowed {
			t.Error("a unit was admitted although 16 of 10 are used")
		}
		time.Sleep(2 * time.Second)
		take(t, l, "o", rules, 4) // in the bucket after the sixtieth, which has the first one's place in the ring
		settle(d, 0)
		left(6)
		if err := l.Settle(t.Context(), "o", rules, d.Receipt, -1); !isInvalid(err, "used") {
			t.Errorf("negative units: got %v, want an InvalidError", err)
		}
	})
}

func isInvalid(err error, field string) bool {
	var invalid *limit.InvalidError
	return errors.As(err, &invalid) && invalid.Field == field
}

// The counts of a rule survive a change of its units, its window and its place, so that a change
// of the plan does not give an owner more.
func TestRulesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, nil)
		a, b := limit.Rule{Name: "a", Units: 10, Window: time.Minute}, limit.Rule{Name: "b", Units: 20, Window: time.Hour}
		take(t, l, "o", []limit.Rule{a, b}, 7)
		for _, tt := range []struct {
			name  string
			rules []limit.Rule
			want  []int64
		}{
			{"the same", []limit.Rule{a, b}, []int64{3, 13}},
			{"the other order", []limit.Rule{b, a}, []int64{13, 3}},
			{"one of them", []limit.Rule{b}, []int64{13}},
			{"a new rule first", []limit.Rule{{Name: "c", Units: 5, Window: time.Second}, a, b}, []int64{5, 3, 13}},
			{"more units", []limit.Rule{{Name: "a", Units: 100, Window: time.Minute}, b}, []int64{93, 13}},
			{"fewer units", []limit.Rule{{Name: "a", Units: 5, Window: time.Minute}, b}, []int64{0, 13}},
			{"a longer window", []limit.Rule{{Name: "a", Units: 10, Window: time.Hour}, b}, []int64{3, 13}},
			{"a shorter window", []limit.Rule{{Name: "a", Units: 10, Window: time.Second}, b}, []int64{3, 13}},
		} {
			if got := peek(t, l, "o", tt.rules); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %v units left, want %v", tt.name, got, tt.want)
			}
		}
	})
}

// Many goroutines that take at once get exactly the units.
func TestTakeAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, nil)
		rules := []limit.Rule{{Name: "burst", Units: 1_000, Window: time.Minute}}
		for range testkit.Trials(100, 2_000) {
			var admitted atomic.Int64
			var running sync.WaitGroup
			for range 16 {
				running.Go(func() {
					for range 200 {
						if take(t, l, "o", rules, 1).Allowed {
							admitted.Add(1)
						}
					}
				})
			}
			running.Wait()
			if admitted.Load() != 1_000 {
				t.Errorf("got %d units, want 1,000", admitted.Load())
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// L-07: the number of owners is bounded. No owner's units are forgotten within the window, and an
// owner whose window has passed makes room for another one.
func TestManyOwners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const room = 1_280
		l := newLocal(t, &limit.LocalOptions{MaxOwners: room})
		rules := []limit.Rule{{Name: "burst", Units: 1, Window: time.Minute}}
		for round := range 3 {
			counted, full := 0, 0
			for i := range testkit.Trials(20_000, 10_000_000) {
				d, err := l.Take(t.Context(), fmt.Sprint(round, " owner ", i), rules, 1)
				switch {
				case errors.Is(err, limit.ErrFull):
					full++
				case err != nil || !d.Allowed:
					t.Fatalf("owner %d: got %+v, %v", i, d, err)
				default:
					counted++
				}
			}
			if counted < room/2 || counted > room || full == 0 {
				t.Errorf("round %d: got %d owners and %d refused, want at most %d owners", round, counted, full, room)
			}
			time.Sleep(30 * time.Second)
			for i := range room {
				_, _ = l.Take(t.Context(), fmt.Sprint(round, " later owner ", i), rules, 1)
			}
			for i := range room / 4 {
				if d, err := l.Take(t.Context(), fmt.Sprint(round, " owner ", i), rules, 1); err == nil && d.Allowed {
					t.Fatalf("the units of owner %d are forgotten", i)
				}
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	good := limit.Rule{Name: "burst", Units: 60, Window: time.Minute}
	if err := limit.Check([]limit.Rule{good}); err != nil {
		t.Errorf("a good rule: got %v", err)
	}
	many := make([]limit.Rule, limit.MaxRules+1)
	for i := range many {
		many[i] = limit.Rule{Name: fmt.Sprint("r", i), Units: 1, Window: time.Minute}
	}
	for _, tt := range []struct {
		name  string
		rules []limit.Rule
		want  string
	}{
		{"no name", []limit.Rule{{Units: 60, Window: time.Minute}}, `limit: invalid Name: must be 1 to 32 characters of a-z, 0-9, - and _`},
		{"upper case", []limit.Rule{{Name: "Burst", Units: 60, Window: time.Minute}}, `limit: rule "Burst": invalid Name: must be 1 to 32 characters of a-z, 0-9, - and _`},
		{"zero units", []limit.Rule{{Name: "a", Window: time.Minute}}, `limit: rule "a": invalid Units: must be 1 to 1000000000, got 0`},
		{"negative units", []limit.Rule{{Name: "a", Units: -1, Window: time.Minute}}, `limit: rule "a": invalid Units: must be 1 to 1000000000, got -1`},
		{"too many units", []limit.Rule{{Name: "a", Units: 1 << 40, Window: time.Minute}}, `limit: rule "a": invalid Units: must be 1 to 1000000000, got 1099511627776`},
		{"no window", []limit.Rule{{Name: "a", Units: 1}}, `limit: rule "a": invalid Window: must be 1s to 1h0m0s, got 0s`},
		{"a day", []limit.Rule{{Name: "a", Units: 1, Window: 24 * time.Hour}}, `limit: rule "a": invalid Window: must be 1s to 1h0m0s, got 24h0m0s`},
		{"a name twice", []limit.Rule{good, good}, `limit: rule "burst": invalid Name: must not be the name of two rules`},
		{"too many", many, `limit: invalid rules: must be at most 16, got 17`},
	} {
		if err := limit.Check(tt.rules); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := limit.NewLocal(&limit.LocalOptions{MaxOwners: -1}); !isInvalid(err, "MaxOwners") {
		t.Errorf("negative MaxOwners: got %v, want an InvalidError", err)
	}
	if _, err := newLocal(t, nil).Take(t.Context(), "o", []limit.Rule{good}, -1); !isInvalid(err, "cost") {
		t.Errorf("negative cost: got %v, want an InvalidError", err)
	}
	if d := take(t, newLocal(t, nil), "o", nil, 5); !d.Allowed || d.Rule != -1 {
		t.Errorf("no rules: got %+v, want it allowed", d)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	l := newLocal(t, nil)
	for _, allowed := range []bool{true, false} {
		rules := []limit.Rule{{Name: "burst", Units: 200, Window: time.Hour}, {Name: "hour", Units: 1_000, Window: time.Hour}}
		if !allowed {
			rules[0].Units = 1
		}
		n := testing.AllocsPerRun(100, func() {
			if got := take(t, l, "o", rules, 1).Allowed; got != allowed {
				t.Fatalf("allowed: got %t, want %t", got, allowed)
			}
		})
		if n != 0 {
			t.Errorf("allowed = %t: got %v allocations, want 0", allowed, n)
		}
	}
}

// An owner with one rule takes at most 400 bytes.
func TestMemoryPerOwner(t *testing.T) {
	const owners = 20_000
	l := newLocal(t, nil)
	rules := []limit.Rule{{Name: "burst", Units: 60, Window: time.Minute}}
	names := make([]string, owners)
	for i := range names {
		names[i] = fmt.Sprint("owner ", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, name := range names {
		take(t, l, name, rules, 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := int64(after.HeapAlloc-before.HeapAlloc) / owners
	t.Logf("%d bytes per owner with a rule", bytes)
	if bytes > 400 && !testkit.Race {
		t.Errorf("got %d bytes per owner with a rule, want at most 400", bytes)
	}
	runtime.KeepAlive(l)
}
