package apikey_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Benchmark measures the floor, which is the work without keyhatch, and the work that keyhatch
// adds. Compare the ratio to the floor between machines.
func Benchmark(b *testing.B) {
	floor := 0.0
	run := func(name string, f func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			f(b)
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if name == "floor" {
				floor = ns
			}
			if floor > 0 {
				b.ReportMetric(ns/floor, "×floor")
			}
		})
	}
	// Each case has its own Manager, so that the keys of one case do not slow down another.
	validate := func(keys int, pick func(own []string) (tokens []string, good bool)) func(*testing.B) {
		return func(b *testing.B) {
			m, st := benchManager(b)
			tokens, good := pick(tokens(b, m, keys))
			for _, token := range tokens {
				if _, err := m.Validate(b.Context(), token); (err == nil) != good {
					b.Fatal(err)
				}
			}
			runtime.GC()
			before, i := st.lookups.Load(), 0
			for b.Loop() {
				_, _ = m.Validate(b.Context(), tokens[i])
				if i++; i == len(tokens) {
					i = 0
				}
			}
			b.ReportMetric(float64(st.lookups.Load()-before)/float64(b.N), "reads/op")
		}
	}
	good := func(own []string) ([]string, bool) { return own, true }
	shuffled := func(own []string) ([]string, bool) {
		rand.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		return own, true
	}

	run("floor", func(b *testing.B) {
		token := []byte(newForger("key", false).forge())
		for b.Loop() {
			sha256.Sum256(token)
		}
	})
	run("validate/hot", validate(1, good))
	run("validate/bus", func(b *testing.B) {
		m := newManager(b, memstore.New(), &apikey.Options{CacheTTL: time.Hour, Bus: &memoryBus{}})
		token := create(b, m, "o").Secret.Reveal()
		for !m.BusIsUp() {
			time.Sleep(time.Millisecond)
		}
		for b.Loop() {
			if _, err := m.Validate(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	run("validate/keys=1000", validate(1_000, good))
	// Five keys for each owner, the default limit.
	for _, keys := range []int{1, 1_000} {
		run(fmt.Sprint("validate/plan/keys=", keys), func(b *testing.B) {
			pro := entitlement.Static(entitlement.Entitlement{APIAccess: true, Scopes: []string{"reports:*"}, ValidUntil: time.Now().Add(time.Hour)})
			m := newManager(b, memstore.New(), &apikey.Options{Entitlements: pro, CacheTTL: time.Hour})
			tokens := tokens(b, m, keys)
			for _, token := range tokens {
				if _, err := m.Validate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			for i := 0; b.Loop(); {
				_, _ = m.Validate(b.Context(), tokens[i])
				if i++; i == len(tokens) {
					i = 0
				}
			}
		})
	}
	run("validate/keys=100000", validate(100_000, shuffled))
	run("validate/unknown", validate(1_000, func([]string) ([]string, bool) {
		return []string{newForger("key", false).forge()}, false
	}))
	run("validate/garbage", validate(1_000, func(own []string) ([]string, bool) {
		token := own[0]
		return []string{"garbage", "Bearer x", token + "0", token[:20] + "\xff" + token[21:], "key_" + token}, false
	}))
	run("validate/checksum", validate(1_000, func(own []string) ([]string, bool) {
		return []string{own[0][:20] + "00" + own[0][22:]}, false
	}))
	run("validate/forged", func(b *testing.B) {
		m := newManager(b, memstore.New(), &apikey.Options{MACKeys: [][]byte{macKey(0)}})
		forged := newForger("key", true).forge()
		for b.Loop() {
			_, _ = m.Validate(b.Context(), forged)
		}
	})
	for _, state := range []string{"active", "unknown", "revoked", "expired", "disabled"} {
		run("refused/"+state, benchRefused(state))
	}
	for _, cores := range []int{1, 2} {
		run(fmt.Sprint("validate/cores=", cores), func(b *testing.B) {
			m, _ := benchManager(b)
			tokens := tokens(b, m, 1_000)
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					_, _ = m.Validate(b.Context(), tokens[i%len(tokens)])
				}
			})
		})
	}
	run("middleware", func(b *testing.B) {
		m, _ := benchManager(b)
		token := tokens(b, m, 1)[0]
		h := m.Require("reports:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest("GET", "/reports", nil)
		r.Header = http.Header{
			"Authorization": {"Bearer " + token}, "User-Agent": {"curl/8.5.0"}, "Accept": {"*/*"},
			"Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"}, "X-Request-Id": {"1"},
		}
		w := httptest.NewRecorder()
		for b.Loop() {
			clear(w.Header()) // each response has its own header
			h.ServeHTTP(w, r)
		}
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	})
	run("generate", func(b *testing.B) {
		format, err := apikey.NewTokenFormat("acme_live", nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			format.Generate()
		}
	})
	run("create", func(b *testing.B) {
		m := newManager(b, nowhere{}, nil)
		for b.Loop() {
			if _, err := m.Create(b.Context(), apikey.CreateParams{Owner: "o", Name: "n"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchRefused validates a token whose key is in the given state, with a logger that writes
// warnings, as in a service. All states should take the same time.
func benchRefused(state string) func(*testing.B) {
	return func(b *testing.B) {
		logger := slog.New(slog.NewTextHandler(io.Discard, nil))
		m := newManager(b, memstore.New(), &apikey.Options{CacheTTL: time.Hour, NegativeTTL: time.Hour, Logger: logger})
		p, yes, soon := apikey.CreateParams{Owner: "o", Name: "n"}, true, 20*time.Millisecond
		if state == "expired" {
			p.ExpiresAt = time.Now().Add(soon)
		}
		issued, err := m.Create(b.Context(), p)
		token := issued.Secret.Reveal()
		switch state {
		case "unknown":
			token = newForger("key", false).forge()
		case "revoked":
			_, err = m.Revoke(b.Context(), "o", issued.Key.ID, "")
		case "disabled":
			_, err = m.Update(b.Context(), "o", issued.Key.ID, apikey.UpdateParams{Disabled: &yes})
		case "expired":
			time.Sleep(soon)
		}
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := m.Validate(b.Context(), token); (err == nil) != (state == "active") {
				b.Fatal(err)
			}
		}
	}
}

func benchManager(b *testing.B) (*apikey.Manager, *spyStore) {
	st := &spyStore{Store: memstore.New()}
	return newManager(b, st, &apikey.Options{MaxKeysPerOwner: -1, CacheTTL: time.Hour, NegativeTTL: time.Hour, CacheSize: 200_000}), st
}

// nowhere is a store that discards records, so that a benchmark of Create does not measure the
// store.
type nowhere struct{ store.Store }

func (nowhere) Insert(context.Context, store.Record, int) error { return nil }

// tokens creates n keys.
func tokens(b *testing.B, m *apikey.Manager, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = create(b, m, fmt.Sprint("owner", i/5)).Secret.Reveal()
	}
	return tokens
}

// BenchmarkBytesPerKey measures the total cost of a cached key: bytes, and the time that
// it adds to a garbage collection. KEYHATCH_SOAK=1 caches 1,000,000 keys.
func BenchmarkBytesPerKey(b *testing.B) {
	n := trials(100_000, 1_000_000)
	// One measurement is enough, so there is no loop.
	m := newManager(b, everyKey{}, &apikey.Options{MaxKeysPerOwner: -1, CacheSize: n, CacheTTL: time.Hour})
	format, err := apikey.NewTokenFormat("key", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]string, n)
	for i := range all {
		all[i] = format.Generate()
	}
	bytesBefore, cycleBefore := collect()
	for _, token := range all {
		if _, err := m.Validate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
	bytes, cycle := collect()
	b.ReportMetric(float64(bytes-bytesBefore)/float64(n), "B/key")
	b.ReportMetric(float64((cycle-cycleBefore).Nanoseconds())/float64(n), "gc-ns/key")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(all)
}

// An everyKey returns a key for every token, without storing any.
type everyKey struct{ store.Store }

func (everyKey) Touch(context.Context, []store.Use) error { return nil }

func (everyKey) Lookup(_ context.Context, d store.Digest) (store.Record, error) {
	id := hex.EncodeToString(d[:10])
	return store.Record{
		ID: "key_" + id, Owner: "owner_" + id[:8], Name: "test", Hint: "key_" + id[:4], Digest: d,
		Scopes: []string{"reports:read"}, CreatedAt: time.Now(),
	}, nil
}

// collect runs several garbage collections. It returns the size of the heap after them, and the
// duration of the shortest one.
func collect() (heap uint64, cycle time.Duration) {
	cycle = time.Hour
	for range 7 {
		began := time.Now()
		runtime.GC()
		cycle = min(cycle, time.Since(began))
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc, cycle
}
