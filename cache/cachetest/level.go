package cachetest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// RunLevel runs the suite for a Level, each rule as a subtest with data of its
// own. newLevel returns two levels over the same data, as two instances of a
// service have them, and registers their end with t.Cleanup. A level that has
// no state of its own may be returned twice. The data are empty, or hold
// nothing for keys made at random. Subtests run in parallel.
func RunLevel(t *testing.T, newLevel func(t *testing.T) (one, other cache.Level)) {
	t.Helper()
	for _, r := range levelRules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			one, other := newLevel(t)
			r.check(t, one, other)
		})
	}
}

var levelRules = []struct {
	name  string
	check func(t *testing.T, one, other cache.Level)
}{
	{"A miss gives a lease", levelMiss},
	{"What is set under a lease is kept", levelKeeps},
	{"Values come back byte for byte", levelBytes},
	{"Keys are kept apart", levelKeys},
	{"An absent answer is kept as one", levelAbsent},
	{"Age counts from the lease", levelAge},
	{"A ttl ends what is kept", levelTTL},
	{"A ttl counts from the lease", levelLateSet},
	{"Nothing is kept without a standing lease", levelLease},
	{"A lease ends in time", levelMaxLease},
	{"Delete forgets what is kept", levelDelete},
	{"Delete takes many keys", levelDeleteMany},
	{"The end of a context ends a call", levelContext},
	{"A fill never brings back what was deleted", levelRace},
}

// long is a ttl that no rule lives to see.
const long = time.Minute

// slack is how much a time that was read may be off.
const slack = 250 * time.Millisecond

func levelMiss(t *testing.T, one, other cache.Level) {
	key := newKey()
	for _, l := range []cache.Level{one, other, one} {
		miss(t, l, key, "a key that was never set")
	}
}

func levelKeeps(t *testing.T, one, other cache.Level) {
	const rule = "what was set under a lease is kept, for all instances"
	key := newKey()
	fill(t, one, key, value("v"), long)
	holds(t, one, key, value("v"), rule)
	holds(t, other, key, value("v"), rule)

	key = newKey() // two miss at once: what either found is good
	a, b := miss(t, one, key, "a key that was never set"), miss(t, other, key, "a key that was never set")
	set(t, one, key, a, value("v"), long)
	set(t, other, key, b, value("v"), long)
	holds(t, one, key, value("v"), rule)
}

func levelBytes(t *testing.T, one, other cache.Level) {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	big := make([]byte, 64<<10)
	rand.Read(big)
	for _, v := range [][]byte{nil, {}, {0}, []byte("\r\n"), all, big} {
		key, item := newKey(), cache.Item{Value: v}
		fill(t, one, key, item, long)
		holds(t, other, key, item, "a value comes back byte for byte")
	}
}

// levelKeys takes keys that differ in one bit.
func levelKeys(t *testing.T, one, other cache.Level) {
	key := newKey()
	fill(t, one, key, value("v"), long)
	for i := range key {
		near := key
		near[i] ^= 1
		miss(t, other, near, "a key that differs in one bit is another")
		forget(t, other, near)
	}
	holds(t, other, key, value("v"), "Delete forgets its own keys only")
}

func levelAbsent(t *testing.T, one, other cache.Level) {
	const rule = "that there is no value is kept, and told apart from a value"
	key := newKey()
	fill(t, one, key, absent, long)
	holds(t, one, key, absent, rule)
	holds(t, other, key, absent, rule)
	fill(t, one, newKey(), value(""), long)
	holds(t, other, key, absent, rule)

	short := newKey()
	fill(t, one, short, absent, 300*time.Millisecond)
	time.Sleep(350 * time.Millisecond)
	miss(t, other, short, "an absent answer whose ttl is over")
}

func levelAge(t *testing.T, one, other cache.Level) {
	const rule = "an item's Age is the time since its lease was granted, or up to a quarter of its ttl more"
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		before := time.Now()
		lease := miss(t, one, key, "a key that was never set")
		after := time.Now()
		time.Sleep(2 * slack)
		item.Age = time.Hour // which Set ignores
		set(t, one, key, lease, item, long)
		for range 2 {
			least := time.Since(after)
			age := holds(t, other, key, item, rule)
			if most := time.Since(before); age < least-slack/10 || age > most+slack/10+long/4 {
				t.Errorf("%s: got %v, want between %v and %v", rule, age, least, most)
			}
			time.Sleep(slack)
		}
	}
}

func levelTTL(t *testing.T, one, other cache.Level) {
	for _, ttl := range []time.Duration{200 * time.Millisecond, time.Second} {
		key := newKey()
		fill(t, one, key, value("v"), ttl)
		granted := time.Now() // or a little earlier
		if ttl == time.Second {
			time.Sleep(ttl / 2)
			if item, _, err := other.Get(t.Context(), key); time.Since(granted) < ttl*3/4 && err != nil {
				t.Errorf("what is set is kept for its ttl: after half of it got %.40q, %v", item.Value, err)
			}
		}
		time.Sleep(time.Until(granted.Add(ttl + 20*time.Millisecond)))
		miss(t, one, key, "a value whose ttl is over")
		miss(t, other, key, "a value whose ttl is over")
	}
}

func levelLateSet(t *testing.T, one, other cache.Level) {
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		lease := miss(t, one, key, "a key that was never set")
		granted := time.Now() // or a little earlier
		time.Sleep(400 * time.Millisecond)
		set(t, one, key, lease, item, 800*time.Millisecond)
		time.Sleep(time.Until(granted.Add(820 * time.Millisecond)))
		miss(t, other, key, "an item whose ttl, counted from its lease, is over")

		key = newKey()
		lease = miss(t, one, key, "a key that was never set")
		time.Sleep(100 * time.Millisecond)
		set(t, one, key, lease, item, 50*time.Millisecond)
		miss(t, other, key, "an item that was set when its ttl, counted from its lease, was over")

		for _, ttl := range []time.Duration{0, -time.Second} {
			key = newKey()
			set(t, one, key, miss(t, one, key, "a key that was never set"), item, ttl)
			miss(t, other, key, "an item without a ttl")
		}
	}
}

func levelLease(t *testing.T, one, other cache.Level) {
	for _, item := range []cache.Item{value("v"), absent} {
		key, another := newKey(), newKey()
		for name, lease := range map[string]func() string{
			"an empty lease":      func() string { return "" },
			"an unknown lease":    func() string { return "0123456789abcdef0123456789abcdef" },
			"another key's lease": func() string { return miss(t, one, another, "a key that was never set") },
			"a lease that Delete has ended": func() string {
				lease := miss(t, one, key, "a key that was never set")
				forget(t, other, key)
				return lease
			},
			"a lease that another has replaced since Delete has ended it": func() string {
				lease := miss(t, one, key, "a key that was never set")
				forget(t, other, key)
				miss(t, other, key, "a key that was never set")
				return lease
			},
			"a lease from before its key was set and deleted": func() string {
				lease := miss(t, one, key, "a key that was never set")
				set(t, one, key, lease, value("before"), long)
				forget(t, other, key)
				return lease
			},
		} {
			set(t, one, key, lease(), item, long)
			miss(t, one, key, "nothing is kept under "+name)
			miss(t, other, key, "nothing is kept under "+name)
			forget(t, one, key)
		}
	}
}

func levelMaxLease(t *testing.T, one, other cache.Level) {
	if testing.Short() {
		t.Skip("waits for a lease to end")
	}
	key := newKey()
	lease := miss(t, one, key, "a key that was never set")
	time.Sleep(cache.MaxLease + 20*time.Millisecond)
	set(t, one, key, lease, value("v"), long)
	miss(t, other, key, "nothing is kept under a lease from more than MaxLease ago")
}

func levelDelete(t *testing.T, one, other cache.Level) {
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		fill(t, one, key, item, long)
		forget(t, other, key)
		miss(t, one, key, "a key that was deleted")
		miss(t, other, key, "a key that was deleted")
		fill(t, other, key, item, long)
		holds(t, one, key, item, "a key that was deleted can be set again")
	}
}

func levelDeleteMany(t *testing.T, one, other cache.Level) {
	forget(t, one) // none at all
	keys := make([]cache.Key, 2500)
	for i := range keys {
		keys[i] = newKey()
		if i%100 == 0 || i == len(keys)-1 {
			fill(t, one, keys[i], value("v"), long)
		}
	}
	stays := newKey()
	fill(t, one, stays, value("v"), long)
	forget(t, other, keys...)
	for i, key := range keys {
		if i%100 == 0 || i == len(keys)-1 {
			miss(t, one, key, "a key that was deleted with many")
		}
	}
	holds(t, one, stays, value("v"), "Delete forgets its own keys only")
}

func levelContext(t *testing.T, one, other cache.Level) {
	key := newKey()
	lease := miss(t, one, key, "a key that was never set")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get": func() error {
			_, _, err := one.Get(ctx, key)
			if err == cache.ErrMiss {
				t.Error("a Get that its context has ended does not say that there is nothing: got a miss")
			}
			return err
		},
		"Set":    func() error { return one.Set(ctx, key, lease, value("v"), long) },
		"Delete": func() error { return one.Delete(ctx, key) },
	} {
		ended := make(chan error, 1)
		go func() { ended <- call() }()
		if await(t, ended, soon, name+" returns when its context has ended") == nil {
			t.Errorf("%s returns an error when its context has ended: got nil", name)
		}
	}
	fill(t, other, newKey(), value("v"), long)
}
