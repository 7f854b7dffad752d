package cachetest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// RunShared tests a Shared. Each rule of [cache.Shared] is a subtest. newShared returns
// two values with the same data, as two instances of a service have them, and
// closes them with t.Cleanup. It may return the same value twice if the value has no
// state of its own. The data must have no entries for random keys. The subtests run in
// parallel. The suite takes about 10 s, and less with -short, which skips the end of a
// lease.
func RunShared(t *testing.T, newShared func(t *testing.T) (one, other cache.Shared)) {
	t.Helper()
	for _, r := range sharedRules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			one, other := newShared(t)
			r.check(t, one, other)
		})
	}
}

var sharedRules = []struct {
	name  string
	check func(t *testing.T, one, other cache.Shared)
}{
	{"A miss grants a lease", sharedMiss},
	{"A value set under a lease is kept", sharedKeeps},
	{"Values are returned byte for byte", sharedBytes},
	{"Keys are independent", sharedKeys},
	{"An absent entry is kept", sharedAbsent},
	{"Age counts from the lease", sharedAge},
	{"An entry expires after its ttl", sharedTTL},
	{"A ttl counts from the lease", sharedLateSet},
	{"Nothing is kept without a valid lease", sharedLease},
	{"A lease ends after MaxLease", sharedMaxLease},
	{"Delete removes entries", sharedDelete},
	{"Delete removes many keys", sharedDeleteMany},
	{"A call returns when its context ends", sharedContext},
	{"A fill never restores a deleted entry", sharedRace},
}

// long is a ttl that does not pass during a test.
const long = time.Minute

// slack is the tolerance for measured times.
const slack = 250 * time.Millisecond

func sharedMiss(t *testing.T, one, other cache.Shared) {
	key := newKey()
	for _, l := range []cache.Shared{one, other, one} {
		miss(t, l, key, "a key that was never set must miss")
	}
}

func sharedKeeps(t *testing.T, one, other cache.Shared) {
	const rule = "a value that was set under a lease must be kept for all instances"
	key := newKey()
	fill(t, one, key, value("v"), long)
	holds(t, one, key, value("v"), rule)
	holds(t, other, key, value("v"), rule)

	key = newKey() // two instances miss at once, and both may set
	a, b := miss(t, one, key, "a key that was never set must miss"), miss(t, other, key, "a key that was never set must miss")
	set(t, one, key, a, value("v"), long)
	set(t, other, key, b, value("v"), long)
	holds(t, one, key, value("v"), rule)
}

func sharedBytes(t *testing.T, one, other cache.Shared) {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	big := make([]byte, 64<<10)
	rand.Read(big)
	for _, v := range [][]byte{nil, {}, {0}, []byte("\r\n"), all, big} {
		key, item := newKey(), cache.Item{Value: v}
		fill(t, one, key, item, long)
		holds(t, other, key, item, "Get must return a value byte for byte")
	}
}

// sharedKeys uses keys that differ in one bit.
func sharedKeys(t *testing.T, one, other cache.Shared) {
	key := newKey()
	fill(t, one, key, value("v"), long)
	for i := range key {
		near := key
		near[i] ^= 1
		miss(t, other, near, "keys that differ in one bit must be independent")
		deleteKeys(t, other, near)
	}
	holds(t, other, key, value("v"), "Delete must remove its own keys only")
}

func sharedAbsent(t *testing.T, one, other cache.Shared) {
	const rule = "an absent entry must be kept, and differ from an empty value"
	key := newKey()
	fill(t, one, key, absent, long)
	holds(t, one, key, absent, rule)
	holds(t, other, key, absent, rule)
	fill(t, one, newKey(), value(""), long)
	holds(t, other, key, absent, rule)

	short := newKey()
	fill(t, one, short, absent, 300*time.Millisecond)
	time.Sleep(350 * time.Millisecond)
	miss(t, other, short, "an absent entry whose ttl has passed must miss")
}

func sharedAge(t *testing.T, one, other cache.Shared) {
	const rule = "an item's Age must be the time since its lease was granted, or at most a quarter of its ttl more"
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		before := time.Now()
		lease := miss(t, one, key, "a key that was never set must miss")
		after := time.Now()
		time.Sleep(2 * slack)
		item.Age = time.Hour // Set must ignore it
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

func sharedTTL(t *testing.T, one, other cache.Shared) {
	for _, ttl := range []time.Duration{200 * time.Millisecond, time.Second} {
		key := newKey()
		fill(t, one, key, value("v"), ttl)
		granted := time.Now() // or a little earlier
		if ttl == time.Second {
			time.Sleep(ttl / 2)
			if item, _, err := other.Get(t.Context(), key); time.Since(granted) < ttl*3/4 && err != nil {
				t.Errorf("an entry must be kept for its ttl: after half of it got %.40q, %v", item.Value, err)
			}
		}
		time.Sleep(time.Until(granted.Add(ttl + 20*time.Millisecond)))
		miss(t, one, key, "a value whose ttl has passed must miss")
		miss(t, other, key, "a value whose ttl has passed must miss")
	}
}

func sharedLateSet(t *testing.T, one, other cache.Shared) {
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		lease := miss(t, one, key, "a key that was never set must miss")
		granted := time.Now() // or a little earlier
		time.Sleep(400 * time.Millisecond)
		set(t, one, key, lease, item, 800*time.Millisecond)
		time.Sleep(time.Until(granted.Add(820 * time.Millisecond)))
		miss(t, other, key, "an item whose ttl, counted from its lease, has passed must miss")

		key = newKey()
		lease = miss(t, one, key, "a key that was never set must miss")
		time.Sleep(100 * time.Millisecond)
		set(t, one, key, lease, item, 50*time.Millisecond)
		miss(t, other, key, "an item that was set after its ttl, counted from its lease, had passed must miss")

		for _, ttl := range []time.Duration{0, -time.Second} {
			key = newKey()
			set(t, one, key, miss(t, one, key, "a key that was never set must miss"), item, ttl)
			miss(t, other, key, "an item without a ttl must miss")
		}
	}
}

func sharedLease(t *testing.T, one, other cache.Shared) {
	for _, item := range []cache.Item{value("v"), absent} {
		key, another := newKey(), newKey()
		for name, lease := range map[string]func() string{
			"an empty lease":      func() string { return "" },
			"an unknown lease":    func() string { return "0123456789abcdef0123456789abcdef" },
			"another key's lease": func() string { return miss(t, one, another, "a key that was never set must miss") },
			"a lease that Delete has ended": func() string {
				lease := miss(t, one, key, "a key that was never set must miss")
				deleteKeys(t, other, key)
				return lease
			},
			"a lease that Delete has ended, with a newer lease since": func() string {
				lease := miss(t, one, key, "a key that was never set must miss")
				deleteKeys(t, other, key)
				miss(t, other, key, "a key that was never set must miss")
				return lease
			},
			"a lease from before its key was set and deleted": func() string {
				lease := miss(t, one, key, "a key that was never set must miss")
				set(t, one, key, lease, value("before"), long)
				deleteKeys(t, other, key)
				return lease
			},
		} {
			set(t, one, key, lease(), item, long)
			miss(t, one, key, "nothing must be kept under "+name)
			miss(t, other, key, "nothing must be kept under "+name)
			deleteKeys(t, one, key)
		}
	}
}

func sharedMaxLease(t *testing.T, one, other cache.Shared) {
	if testing.Short() {
		t.Skip("waits for a lease to end")
	}
	key := newKey()
	lease := miss(t, one, key, "a key that was never set must miss")
	time.Sleep(cache.MaxLease + 20*time.Millisecond)
	set(t, one, key, lease, value("v"), long)
	miss(t, other, key, "nothing must be kept under a lease older than MaxLease")
}

func sharedDelete(t *testing.T, one, other cache.Shared) {
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		fill(t, one, key, item, long)
		deleteKeys(t, other, key)
		miss(t, one, key, "a deleted key must miss")
		miss(t, other, key, "a deleted key must miss")
		fill(t, other, key, item, long)
		holds(t, one, key, item, "a deleted key must be settable again")
	}
}

func sharedDeleteMany(t *testing.T, one, other cache.Shared) {
	deleteKeys(t, one) // no keys
	keys := make([]cache.Key, 2500)
	for i := range keys {
		keys[i] = newKey()
		if i%100 == 0 || i == len(keys)-1 {
			fill(t, one, keys[i], value("v"), long)
		}
	}
	stays := newKey()
	fill(t, one, stays, value("v"), long)
	deleteKeys(t, other, keys...)
	for i, key := range keys {
		if i%100 == 0 || i == len(keys)-1 {
			miss(t, one, key, "a key that was deleted with many others must miss")
		}
	}
	holds(t, one, stays, value("v"), "Delete must remove its own keys only")
}

func sharedContext(t *testing.T, one, other cache.Shared) {
	key := newKey()
	lease := miss(t, one, key, "a key that was never set must miss")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get": func() error {
			_, _, err := one.Get(ctx, key)
			if err == cache.ErrMiss {
				t.Error("Get must not return ErrMiss when its context has ended")
			}
			return err
		},
		"Set":    func() error { return one.Set(ctx, key, lease, value("v"), long) },
		"Delete": func() error { return one.Delete(ctx, key) },
	} {
		ended := make(chan error, 1)
		go func() { ended <- call() }()
		if await(t, ended, soon, name+" must return when its context has ended") == nil {
			t.Errorf("%s must return an error when its context has ended: got nil", name)
		}
	}
	fill(t, other, newKey(), value("v"), long)
}
