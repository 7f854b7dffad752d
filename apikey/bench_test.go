package apikey_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// Benchmark measures the floor, which is the work without keyhatch, and the work that keyhatch
// adds. Compare the ratio to the floor between machines. Package internal/integration/bench
// measures plans, refusals, the middleware, memory and Create.
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
	validate := func(keys int) func(*testing.B) {
		return func(b *testing.B) {
			m, st := benchManager(b)
			tokens := tokens(b, m, keys)
			rand.Shuffle(keys, func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
			for _, token := range tokens {
				if _, err := m.Validate(b.Context(), token); err != nil {
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
	run("floor", func(b *testing.B) {
		token := []byte(newForger("key", false).forge())
		for b.Loop() {
			sha256.Sum256(token)
		}
	})
	run("validate/hot", validate(1))
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
	run("validate/keys=1000", validate(1_000))
	run("validate/keys=100000", validate(100_000))
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
	run("generate", func(b *testing.B) {
		format, err := apikey.NewTokenFormat("acme_live", nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			format.Generate()
		}
	})
}

func benchManager(b *testing.B) (*apikey.Manager, *spyStore) {
	st := &spyStore{Store: memstore.New()}
	return newManager(b, st, &apikey.Options{MaxKeysPerOwner: -1, CacheTTL: time.Hour, NegativeTTL: time.Hour, CacheSize: 200_000}), st
}

// tokens creates n keys.
func tokens(b *testing.B, m *apikey.Manager, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = create(b, m, fmt.Sprint("owner", i/5)).Secret.Reveal()
	}
	return tokens
}
