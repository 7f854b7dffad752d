package rediscache

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// The lifetime of an entry is bounded, even if the server reports a longer one.
func TestEntryAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const ttl, skew = time.Minute, 10 * time.Second
	const kept = ttl - skew // time for which the server keeps an entry
	for _, c := range []struct {
		name    string
		left    time.Duration
		granted time.Duration // time since the lease was granted
		ok      bool
		age     time.Duration
	}{
		{"fresh", kept, 0, true, skew},
		{"half its lifetime", kept / 2, kept / 2, true, kept/2 + skew},
		{"its clock is ahead", kept / 2, kept/2 - 9*time.Second, true, kept/2 + time.Second},
		{"its clock is far ahead", 20 * time.Second, 10 * time.Second, true, 30 * time.Second},
		{"its clock is behind", kept / 2, kept/2 + 9*time.Second, true, kept/2 + 19*time.Second},
		{"at its end", 0, kept, true, ttl},
		{"put back as fresh", kept, kept / 2, true, kept/2 + skew},
		{"put back at its end", kept, kept, true, ttl},
		{"put back after its end", kept, kept + time.Millisecond, false, 0},
		{"from the future", kept, -11 * time.Second, false, 0},
		{"no end", -time.Millisecond, 0, false, 0},
		{"a later end", kept + 1, 0, false, 0},
	} {
		e := entry{granted: now.Add(-c.granted), ttl: ttl}
		item, ok := e.item(c.left, now)
		if ok != c.ok || item.Age != c.age {
			t.Errorf("%s: got %v, age %v, want %v, age %v", c.name, ok, item.Age, c.ok, c.age)
		}
	}
}

// C-16: an entry that an attacker restores expires at most a TTL after it was read from
// the store, in memory too, if clocks differ by no more than skew.
func TestPutBackEntryIsBounded(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{2 * time.Second, time.Minute, time.Hour} {
		for apart := -skew(ttl); apart <= skew(ttl); apart += skew(ttl) / 10 {
			granted := time.Now()
			e := entry{granted: granted.Add(apart), ttl: ttl} // by the clock of another instance
			for age := time.Duration(0); age < 2*ttl; age += ttl / 100 {
				for _, left := range []time.Duration{0, ttl / 2, ttl - skew(ttl)} {
					item, ok := e.item(left, granted.Add(age))
					if ok && age+ttl-item.Age > ttl {
						t.Fatalf("ttl %v, clocks %v apart, put back after %v: ends after %v", ttl, apart, age, age+ttl-item.Age)
					}
				}
			}
		}
	}
}

// open returns the sealed entry, and refuses any other string.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("value"), int64(1_700_000_000_000), uint32(60_000), false, []byte("V"))
	f.Add([]byte(nil), int64(0), uint32(1), true, make([]byte, prefix))
	f.Fuzz(func(t *testing.T, value []byte, granted int64, ttl uint32, absent bool, other []byte) {
		s, key := newSeal(make([]byte, MinSecret), "n"), cache.Key{1}
		want := entry{value, absent, time.UnixMilli(granted), time.Duration(ttl) * time.Millisecond}
		text := s.close(key, want)
		got, ok := s.open(key, text)
		if !ok || string(got.value) != string(value) || got.absent != absent || !got.granted.Equal(want.granted) || got.ttl != want.ttl {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
		if _, ok := s.open(key, other); ok {
			t.Errorf("%q opens", other)
		}
		if _, ok := newSeal(make([]byte, MinSecret), "m").open(key, text); ok {
			t.Error("another namespace opens it")
		}
	})
}
