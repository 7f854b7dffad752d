package rediscache

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
)

// What bounds the life of an entry, whatever the server says of it.
func TestEntryAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const ttl = time.Minute
	for _, c := range []struct {
		name    string
		left    time.Duration
		granted time.Duration // ago
		ok      bool
		age     time.Duration
	}{
		{"fresh", ttl, 0, true, 0},
		{"half its life", ttl / 2, ttl / 2, true, ttl / 2},
		{"its clock is ahead", ttl / 2, ttl/2 - 9*time.Second, true, ttl / 2},
		{"its clock is behind", ttl / 2, ttl/2 + 9*time.Second, true, ttl / 2},
		{"at its end", 0, ttl, true, ttl},
		{"put back as fresh", ttl, ttl / 2, true, ttl/2 - 10*time.Second},
		{"put back at its end", ttl, ttl + 9*time.Second, true, ttl - time.Second},
		{"put back after its end", ttl, ttl + 11*time.Second, false, 0},
		{"from the future", ttl, -11 * time.Second, false, 0},
		{"no end", -time.Millisecond, 0, false, 0},
		{"a later end", ttl + 1, 0, false, 0},
	} {
		e := entry{granted: now.Add(-c.granted), ttl: ttl}
		item, ok := e.item(c.left, now)
		if ok != c.ok || item.Age != c.age {
			t.Errorf("%s: got %v, age %v, want %v, age %v", c.name, ok, item.Age, c.ok, c.age)
		}
	}
}

// What is under the seal comes back, and nothing else opens.
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
