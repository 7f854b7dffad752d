package rediscache_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
)

// A forger writes to the server without a Cache.
type forger struct {
	t      *testing.T
	c      *rediscache.Cache
	client *redis.Client
	space  string
}

func newForger(t *testing.T) *forger {
	t.Helper()
	space := testkit.NewName()
	return &forger{t, open(t, testkit.UseRedis(t), &rediscache.Options{Namespace: space}), newClient(t, testkit.UseRedis(t)), space}
}

func (f *forger) name(kind string, key cache.Key) string {
	return f.space + ":" + kind + ":{" + base64.RawURLEncoding.EncodeToString(key[:]) + "}"
}

// kept returns the content of the server for a key with the given item.
func (f *forger) kept(key cache.Key, item cache.Item) string {
	f.t.Helper()
	fill(f.t, f.c, key, item)
	kind := "k"
	if item.Absent {
		kind = "n"
	}
	text, err := f.client.Get(f.t.Context(), f.name(kind, key)).Result()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

func (f *forger) put(name, text string, ttl time.Duration) {
	f.t.Helper()
	if err := f.client.Set(f.t.Context(), name, text, ttl).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// wantRefused fails unless Get misses the forged entry, and a fill replaces it.
func (f *forger) wantRefused(key cache.Key, what string) {
	f.t.Helper()
	fillAfter(f.t, f.c, key, what)
	if err := f.c.Delete(f.t.Context(), key); err != nil {
		f.t.Fatalf("Delete of %s: %v", what, err)
	}
}

func fillAfter(t *testing.T, c *rediscache.Cache, key cache.Key, what string) {
	t.Helper()
	lease := wantMiss(t, c, key, what)
	if err := c.Set(t.Context(), key, lease, value("valid"), time.Minute); err != nil {
		t.Fatalf("Set after %s: %v", what, err)
	}
	wantItem(t, c, key, value("valid"), "a value set after "+what)
}

// restLife is the longest remaining TTL of a genuine entry with a TTL of a minute. An entry with
// a longer one would be refused for that reason alone.
const restLife = 50 * time.Second

func TestForgedEntriesAreMisses(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	for _, item := range []cache.Item{value("genuine"), absent} {
		text := f.kept(newKey(), item)
		other := newKey()
		forged := map[string]string{
			"another key's entry":    text,
			"only a letter":          text[:1],
			"a long string of zeros": strings.Repeat("\x00", 1000),
			"an entry with no value": text[:min(len(text), 49)],
			"the letter of a lease":  "L",
			"an overlong lease":      "L" + strings.Repeat("x", 1000),
			"too much":               strings.Repeat("V", rediscache.MaxValue+1000),
		}
		for what, text := range forged {
			for _, kind := range []string{"k", "n"} {
				f.put(f.name(kind, other), text, restLife)
				f.wantRefused(other, what+" in "+kind)
			}
		}
	}
}

func TestDamagedEntriesAreMisses(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	for kind, item := range map[string]cache.Item{"k": value("genuine"), "n": absent} {
		key := newKey()
		text := f.kept(key, item)
		for i := range text {
			damaged := []byte(text)
			damaged[i] ^= 1 << (i % 8)
			f.put(f.name(kind, key), string(damaged), restLife)
			f.wantRefused(key, "a flipped bit")
			f.put(f.name(kind, key), text[:i], restLife)
			f.wantRefused(key, "an entry that was cut")
		}
		f.put(f.name(kind, key), text+"x", restLife)
		f.wantRefused(key, "an entry with a byte too many")
	}
}

// The sealed time bounds the lifetime of an authentic entry that an attacker restores.
func TestReplayedEntries(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	key := newKey()
	text := f.kept(key, value("genuine"))
	name := f.name("k", key)
	for what, ttl := range map[string]time.Duration{"forever": 0, "for longer than its ttl": time.Minute + time.Second, "for as long as its ttl": time.Minute} {
		f.put(name, text, ttl)
		f.wantRefused(key, "an authentic entry that was put back "+what)
	}
	// A restored entry with a plausible TTL counts as older than it is.
	f.put(name, text, 50*time.Second)
	if got := wantItem(t, f.c, key, value("genuine"), "an entry that was put back").Age; got < 10*time.Second || got > 20*time.Second {
		t.Errorf("got age %v of a restored entry, want 10 s to 20 s: its real age and the tolerated difference of clocks", got)
	}
	f.client.Del(t.Context(), name)
	f.put(f.name("n", key), text, 0)
	f.wantRefused(key, "an authentic entry without an end, by the name of a lease")
}

// The server expires an entry one ttl after its lease, independent of the instances'
// clocks.
func TestServerCountsFromTheLease(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	for kind, item := range map[string]cache.Item{"k": value("v"), "n": absent} {
		key := newKey()
		lease := wantMiss(t, f.c, key, "a key that was never set")
		if err := f.client.PExpire(t.Context(), f.name("n", key), cache.MaxLease-5*time.Second).Err(); err != nil { // as if five seconds had passed
			t.Fatal(err)
		}
		if err := f.c.Set(t.Context(), key, lease, item, time.Minute); err != nil {
			t.Fatal(err)
		}
		// Ten seconds of the TTL are reserved for the difference of clocks.
		if left, err := f.client.PTTL(t.Context(), f.name(kind, key)).Result(); err != nil || left <= 0 || left > 45*time.Second {
			t.Errorf("an entry set 5 s after its lease with a TTL of 1 m: got %v left in the server, error %v, want at most 45 s", left, err)
		}
	}
}

func TestEntriesOfOtherNamespacesAreMisses(t *testing.T) {
	t.Parallel()
	f, other := newForger(t), newForger(t)
	key := newKey()
	text := f.kept(key, value("genuine"))
	other.put(other.name("k", key), text, restLife)
	other.wantRefused(key, "another namespace's entry for the key")
}

func TestWrongTypesAreMisses(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	key := newKey()
	for _, kind := range []string{"k", "n"} {
		if err := f.client.RPush(t.Context(), f.name(kind, key), "a", "list").Err(); err != nil {
			t.Fatal(err)
		}
		f.wantRefused(key, "a list in "+kind)
	}
	lease := wantMiss(t, f.c, key, "a key that was never set")
	f.client.Del(t.Context(), f.name("n", key))
	f.client.RPush(t.Context(), f.name("n", key), lease)
	if err := f.c.Set(t.Context(), key, lease, value("v"), time.Minute); err != nil {
		t.Errorf("Set after the lease was replaced by a list: %v", err)
	}
	wantMiss(t, f.c, key, "a lease that was replaced by a list")
}

// Set stores nothing under a lease that an attacker has prolonged.
func TestProlongedLeasesAreRefused(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	for what, change := range map[string]func(name string) error{
		"a lease without an end": func(name string) error { return f.client.Persist(t.Context(), name).Err() },
		"a lease of an hour":     func(name string) error { return f.client.Expire(t.Context(), name, time.Hour).Err() },
	} {
		key := newKey()
		lease := wantMiss(t, f.c, key, "a key that was never set")
		if err := change(f.name("n", key)); err != nil {
			t.Fatal(err)
		}
		if err := f.c.Set(t.Context(), key, lease, value("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		f.wantRefused(key, what)
	}
}

// Set stores nothing if the server has lost the lease.
func TestLostLeaseKeepsNothing(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, client := open(t, server.DSN(), nil), newClient(t, server.DSN())
	for what, lose := range map[string]func(){
		"FLUSHALL": func() { client.FlushAll(t.Context()) },
		"a restart": func() {
			server.Kill()
			server.Start()
			awaitWorking(t, c)
		},
	} {
		key := newKey()
		lease := wantMiss(t, c, key, "a key that was never set")
		lose()
		if err := c.Set(t.Context(), key, lease, value("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		wantMiss(t, c, key, "a value set under a lease from before "+what)
	}
}

// An entry that is longer than any genuine one is not read from the server.
func TestHugeEntriesAreNotRead(t *testing.T) {
	t.Parallel()
	space, address := testkit.NewName(), testkit.StartRedis(t).DSN()
	f := &forger{t, open(t, address, &rediscache.Options{Namespace: space}), newClient(t, address), space}
	key := newKey()
	f.put(f.name("k", key), strings.Repeat("V", 10<<20), time.Minute)
	f.put(f.name("n", key), strings.Repeat("A", 10<<20), time.Minute)
	before := f.sent()
	f.wantRefused(key, "a huge entry")
	if sent := f.sent() - before; sent > 1<<20 {
		t.Errorf("bytes that the server has sent: got %d, want at most 1 MiB", sent)
	}
}

// sent returns the number of bytes that the server has sent to all its clients.
func (f *forger) sent() (n int) {
	f.t.Helper()
	info, err := f.client.Info(f.t.Context(), "stats").Result()
	if err != nil {
		f.t.Fatal(err)
	}
	_, info, _ = strings.Cut(info, "total_net_output_bytes:")
	if _, err := fmt.Sscan(info, &n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// A full server with the policy noeviction still serves reads and deletions.
func TestFullServer(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, client := open(t, server.DSN(), nil), newClient(t, server.DSN())
	key := newKey()
	fill(t, c, key, value("v"))
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	wantItem(t, c, key, value("v"), "a value in a full server")
	if _, _, err := c.Get(t.Context(), newKey()); err == nil || err == cache.ErrMiss {
		t.Errorf("Get of a missing key in a full server: got %v, want an error other than ErrMiss", err)
	}
	if err := c.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete in a full server: %v", err)
	}
}
