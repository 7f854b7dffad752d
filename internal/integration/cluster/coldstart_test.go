package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// An instance that starts while others run finds their keys in the shared cache.
func TestColdStart(t *testing.T) {
	n := testkit.Scale(500, 100_000)
	s := sharedServers(t)
	makers := newCluster(t, s, 1, setup{Bus: noBus})
	all := tokens(makers.create(makers.members[0], n))
	for _, shared := range []bool{false, true} {
		name := "without a shared cache"
		if shared {
			name = "with a shared cache"
		}
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, s, 3, setup{DSN: makers.base.DSN, Bus: redisBus, Shared: shared, CacheTTL: 10 * time.Minute})
			for _, m := range c.members {
				m.validateAll(all)
			}
			began := time.Now()
			c.grow(1)
			ready := time.Since(began)
			took, reads := c.members[3].validateAll(all)
			t.Logf("cold start %s | %d keys in use | started in %s | each validated once, 16 at a time: %s | look-ups in the store: %d", name, n, short(ready), short(took), reads)
			if shared && reads > int64(n/20) {
				t.Errorf("got %d look-ups in the store, want almost none", reads)
			}
			if !shared && reads != int64(n) {
				t.Errorf("got %d look-ups in the store, want %d", reads, n)
			}
		})
	}
}

// validateAll fails the test unless all tokens are accepted.
func (m *member) validateAll(all []string) (took time.Duration, reads int64) {
	m.Helper()
	before := ask[status](m, m.instance, "status", struct{}{}).Reads
	began := time.Now()
	for i, answer := range ask[[]string](m, m.instance, "answers", all) {
		if answer != accepted {
			m.Fatalf("key %d: got %q, want %q", i, answer, accepted)
		}
	}
	took = time.Since(began)
	return took, ask[status](m, m.instance, "status", struct{}{}).Reads - before
}

// BenchmarkColdKeys measures cold keys at full load with an empty shared cache, which must
// not be slower than the store alone. Both are measured alternately.
func BenchmarkColdKeys(b *testing.B) {
	const n, callers = 20_000, 64
	s := sharedServers(b)
	dsn := s.schema(b)
	st, err := pgstore.Open(b.Context(), dsn, &pgstore.Options{Schema: testkit.GetParam(dsn, "search_path")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	all := coldTokens(b, st, n)
	var took [2]time.Duration
	var failed atomic.Int64
	rounds := 0
	for b.Loop() {
		rounds++
		for i := range took {
			o := &apikey.Options{MaxKeysPerOwner: -1, Logger: slog.New(slog.DiscardHandler)}
			if i == 1 {
				shared, err := rediscache.Open(b.Context(), "redis://"+s.redis, secret, &rediscache.Options{Namespace: testkit.NewName()})
				if err != nil {
					b.Fatal(err)
				}
				defer shared.Close()
				o.SharedCache = countedShared{shared, &failed}
			}
			took[i] += validateTogether(b, st, o, all, callers)
		}
	}
	for i, name := range []string{"store/s", "shared/s"} {
		b.ReportMetric(float64(rounds*n)/took[i].Seconds(), name)
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "times-store")
	b.ReportMetric(float64(failed.Load())/float64(rounds), "errors/round")
}

func coldTokens(b *testing.B, st *pgstore.Store, n int) []string {
	b.Helper()
	m, err := apikey.New(st, &apikey.Options{MaxKeysPerOwner: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close(b.Context())
	all := make([]string, n)
	each(n, 16, func(i int) {
		issued, err := m.Create(b.Context(), apikey.CreateParams{Owner: fmt.Sprint("owner ", i), Name: "key"})
		if err != nil {
			b.Error(err)
			return
		}
		all[i] = issued.Secret.Reveal()
	})
	return all
}

func validateTogether(b *testing.B, st *pgstore.Store, o *apikey.Options, all []string, callers int) time.Duration {
	b.Helper()
	m, err := apikey.New(st, o)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close(b.Context())
	began := time.Now()
	each(len(all), callers, func(i int) {
		if _, err := m.Validate(b.Context(), all[i]); err != nil {
			b.Error(err)
		}
	})
	return time.Since(began)
}

// each calls do for 0 to n-1, in the given number of goroutines.
func each(n, goroutines int, do func(i int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	running.Wait()
}

// A countedShared counts its errors.
type countedShared struct {
	cache.Shared
	failed *atomic.Int64
}

func (l countedShared) Get(ctx context.Context, key cache.Key) (cache.Item, string, error) {
	item, lease, err := l.Shared.Get(ctx, key)
	if err != nil && err != cache.ErrMiss {
		l.failed.Add(1)
	}
	return item, lease, err
}

func (l countedShared) Set(ctx context.Context, key cache.Key, lease string, item cache.Item, ttl time.Duration) error {
	err := l.Shared.Set(ctx, key, lease, item, ttl)
	if err != nil {
		l.failed.Add(1)
	}
	return err
}
