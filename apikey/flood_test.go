package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A pooledStore has a pool of connections, each of which runs one call at a time. With a
// nil channel, the pool has no limit.
type pooledStore struct {
	store.Store
	connections chan struct{}
	lookup      time.Duration // how long a look-up takes
	other       time.Duration // how long any other call takes
}

func (s *pooledStore) call(ctx context.Context, d time.Duration) error {
	if s.connections != nil {
		select {
		case s.connections <- struct{}{}:
			defer func() { <-s.connections }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	time.Sleep(d)
	return ctx.Err()
}

func (s *pooledStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	if err := s.call(ctx, s.lookup); err != nil {
		return store.Record{}, err
	}
	return s.Store.Lookup(ctx, d)
}

func (s *pooledStore) Get(ctx context.Context, owner, id string) (store.Record, error) {
	if err := s.call(ctx, s.other); err != nil {
		return store.Record{}, err
	}
	return s.Store.Get(ctx, owner, id)
}

func (s *pooledStore) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.call(ctx, s.other); err != nil {
		return store.Page{}, err
	}
	return s.Store.List(ctx, q)
}

func (s *pooledStore) Insert(ctx context.Context, r store.Record, limit int) error {
	if err := s.call(ctx, s.other); err != nil {
		return err
	}
	return s.Store.Insert(ctx, r, limit)
}

func (s *pooledStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := s.call(ctx, s.other); err != nil {
		return store.Record{}, false, err
	}
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

// A flood sends unknown tokens, each once, while other keys are in use.
type flood struct {
	rate        int // unknown tokens per second
	connections int // connections of the store; 0 means no limit
	lookup      time.Duration
	other       time.Duration
	ttl         time.Duration
	keys        int // keys in use
	uses        int // uses of these keys per second
	cold        int // keys that are used for the first time, per second
	revocations int // keys that this Manager revokes per second
	http        bool
	lasts       time.Duration
}

// attack returns the flood of C-14.
func attack(rate int, lasts, ttl time.Duration) flood {
	return flood{
		rate: rate, connections: 10, lookup: 5 * time.Millisecond, other: 5 * time.Millisecond,
		ttl: ttl, keys: 300, uses: 500, cold: 20, lasts: lasts,
	}
}

// A floodResult counts the results of the requests.
type floodResult struct {
	mu                   sync.Mutex
	known                []time.Duration // how long each use of a known key took
	refused              int             // uses of known keys that were not accepted
	unknown, notLookedUp int             // unknown tokens that were looked up, and the others
	unsent               int             // unknown tokens that the clients had no room for
	cold, coldRefused    int             // keys that this Manager had not seen
	revocations          []time.Duration // durations for keys that the Manager has not read
	listedRevocations    []time.Duration // durations for the other keys
	revocationsFailed    int
	failures             atomic.Int64 // failures of the store in the Manager's log
	goroutines           int
	stayed               time.Duration // how long a key was accepted after another process revoked it
	late                 time.Duration // the longest delay of a timer that ran beside the flood
}

func (r *floodResult) accepted() float64 {
	return 100 - 100*float64(r.refused)/float64(len(r.known))
}

func (r *floodResult) String() string {
	s := fmt.Sprintf("known: %.2f %% of %d accepted, p50 %v, p99 %v, max %v | unknown: %d looked up, %d refused without a look-up, %d not sent | cold: %d of %d refused | store failures %d | goroutines %d | revoked elsewhere: refused after %v | timers late by up to %v",
		r.accepted(), len(r.known), round(testkit.Percentile(r.known, 50)), round(testkit.Percentile(r.known, 99)), round(testkit.Percentile(r.known, 100)),
		r.unknown, r.notLookedUp, r.unsent, r.coldRefused, r.cold, r.failures.Load(), r.goroutines, round(r.stayed), round(r.late))
	if n := len(r.revocations); n > 0 {
		s += fmt.Sprintf(" | %d revocations, %d failed, p50 %v, p99 %v", n, r.revocationsFailed, round(testkit.Percentile(r.revocations, 50)), round(testkit.Percentile(r.revocations, 99)))
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// Enabled implements slog.Handler. Only errors are counted: the Manager logs a failure of the
// store as an error.
func (r *floodResult) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (r *floodResult) Handle(context.Context, slog.Record) error { r.failures.Add(1); return nil }
func (r *floodResult) WithAttrs([]slog.Attr) slog.Handler        { return r }
func (r *floodResult) WithGroup(string) slog.Handler             { return r }

// maxOpen bounds the open HTTP requests with unknown tokens, since the clients share the
// file descriptors and the processors with the server. It is twice the queue of the cache.
// Further requests are not sent, and count neither as accepted nor as refused. Requests
// with known keys are always sent. Each one that is not accepted counts as refused, for
// any cause.
const maxOpen = 2_500

// run starts each request at its time, even while earlier ones are running, as clients do.
func (f flood) run(t testing.TB) *floodResult {
	t.Helper()
	r := &floodResult{}
	st := &pooledStore{Store: memstore.New(), lookup: f.lookup, other: f.other}
	if f.connections > 0 {
		st.connections = make(chan struct{}, f.connections)
	}
	elsewhere := newManager(t, st.Store, &apikey.Options{MaxKeysPerOwner: -1})
	m := newManager(t, st, &apikey.Options{CacheTTL: f.ttl, StaleIfError: time.Minute, Logger: slog.New(r)})
	keys := make([]apikey.Issued, f.keys+1+(f.revocations+f.cold)*int(f.lasts/time.Second+1))
	for i := range keys {
		keys[i] = create(t, elsewhere, "o")
	}
	thief, victims, cold := keys[f.keys], keys[f.keys+1:], keys[f.keys+1+f.revocations*int(f.lasts/time.Second+1):]
	validate := f.validator(t, m)
	f.warm(keys[:f.keys+1], validate)

	var all sync.WaitGroup
	defer all.Wait()
	began := time.Now()
	if f.revocations > 0 {
		all.Go(func() { f.revoke(m, victims, began, r) })
	}
	all.Go(func() { f.steal(elsewhere, thief, validate, began, r) })
	all.Go(func() { f.watch(began, r) })
	f.each(began, f.uses, &all, func(n int) {
		key := keys[rand.IntN(f.keys)]
		at := time.Now()
		err := validate(key.Secret.Reveal())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.known = append(r.known, time.Since(at))
		if err != nil {
			r.refused++
		}
		r.goroutines = max(r.goroutines, runtime.NumGoroutine())
	})
	f.each(began, f.cold, &all, func(n int) {
		err := validate(cold[n].Secret.Reveal())
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cold++; err != nil {
			r.coldRefused++
		}
	})
	open := make(chan struct{}, maxOpen)
	forgers := sync.Pool{New: func() any { return newForger("key", false) }}
	f.each(began, f.rate, &all, func(int) {
		if f.http {
			select {
			case open <- struct{}{}:
				defer func() { <-open }()
			default:
				r.mu.Lock()
				defer r.mu.Unlock()
				r.unsent++
				return
			}
		}
		forger := forgers.Get().(*forger)
		token := forger.forge()
		forgers.Put(forger)
		err := validate(token)
		r.mu.Lock()
		defer r.mu.Unlock()
		if errors.Is(err, apikey.ErrUnavailable) {
			r.notLookedUp++
		} else {
			r.unknown++
		}
	})
	all.Wait()
	return r
}

// each calls do at the given rate per second, each time in a new goroutine.
func (f flood) each(began time.Time, rate int, all *sync.WaitGroup, do func(n int)) {
	if rate == 0 {
		return
	}
	all.Go(func() {
		for n := 0; ; {
			elapsed := time.Since(began)
			if elapsed >= f.lasts {
				return
			}
			for ; n < int(elapsed.Seconds()*float64(rate)); n++ {
				i := n
				all.Go(func() { do(i) })
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// warm uses all keys for the first time, spread over half of their CacheTTL.
func (f flood) warm(keys []apikey.Issued, validate func(string) error) {
	var all sync.WaitGroup
	for _, key := range keys {
		all.Go(func() {
			for validate(key.Secret.Reveal()) != nil {
				time.Sleep(100 * time.Millisecond) // the Manager refuses some if a slow store gets too many at once
			}
		})
		time.Sleep(min(f.ttl, 3*time.Second) / time.Duration(2*len(keys)))
	}
	all.Wait()
}

// steal uses a key continuously, and records for how long it is accepted after another
// process has revoked it.
func (f flood) steal(elsewhere *apikey.Manager, key apikey.Issued, validate func(string) error, began time.Time, r *floodResult) {
	var revoked time.Time
	for ; time.Since(began) < f.lasts; time.Sleep(5 * time.Millisecond) {
		if revoked.IsZero() && time.Since(began) > f.lasts/5 {
			_, _ = elsewhere.Revoke(context.Background(), "o", key.Key.ID, "stolen")
			revoked = time.Now()
		}
		if validate(key.Secret.Reveal()) == nil && !revoked.IsZero() {
			r.stayed = time.Since(revoked)
		}
	}
}

// watch records the longest delay of a timer.
func (f flood) watch(began time.Time, r *floodResult) {
	const pause = 10 * time.Millisecond
	for time.Since(began) < f.lasts {
		at := time.Now()
		time.Sleep(pause)
		r.late = max(r.late, time.Since(at)-pause)
	}
}

// revoke revokes keys at the given rate. Before it revokes every second key, it reads the key, as
// a page that lists keys does.
func (f flood) revoke(m *apikey.Manager, keys []apikey.Issued, began time.Time, r *floodResult) {
	var all sync.WaitGroup
	defer all.Wait()
	for i, key := range keys {
		if time.Since(began) >= f.lasts {
			return
		}
		all.Go(func() {
			took := &r.revocations
			if i%2 == 0 {
				_, _ = m.Get(context.Background(), "o", key.Key.ID)
				took = &r.listedRevocations
			}
			at := time.Now()
			_, err := m.Revoke(context.Background(), "o", key.Key.ID, "")
			r.mu.Lock()
			defer r.mu.Unlock()
			*took = append(*took, time.Since(at))
			if err != nil {
				r.revocationsFailed++
			}
		})
		time.Sleep(time.Second / time.Duration(f.revocations))
	}
}

// validator validates in process or by HTTP.
func (f flood) validator(t testing.TB, m *apikey.Manager) func(token string) error {
	if !f.http {
		return func(token string) error {
			_, err := m.Validate(context.Background(), token)
			return err
		}
	}
	server := httptest.NewServer(m.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 5_000}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return func(token string) error {
		req, _ := http.NewRequest("GET", server.URL, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		switch resp.StatusCode {
		case 200:
			return nil
		case 503:
			if resp.Header.Get("Retry-After") == "" {
				return errors.New("503 without Retry-After")
			}
			return apikey.ErrUnavailable
		}
		return apikey.ErrUnauthenticated
	}
}

// maxLate is the longest delay of timers on a machine that is not overloaded.
const maxLate = 100 * time.Millisecond

// faults returns what a flood must not cause.
func (r *floodResult) faults(ttl time.Duration) (faults []string) {
	if r.accepted() < 99.9 {
		faults = append(faults, fmt.Sprintf("accepted uses of known keys: got %.2f %%, want at least 99.9 %%", r.accepted()))
	}
	if n := r.failures.Load(); n > 0 {
		faults = append(faults, fmt.Sprintf("got %d failures of a store that works", n))
	}
	if bound := ttl + 2*time.Second; r.stayed > bound {
		faults = append(faults, fmt.Sprintf("a key was accepted for %v after another process had revoked it, want at most %v: its CacheTTL of %v and 2 s for the machine", r.stayed, bound, ttl))
	}
	return faults
}

// C-14, invariants 7 and 9: unknown tokens at five times the rate that the store can handle are
// not an outage. Known keys keep working, no call counts as a failure, nothing piles up, and a
// key that another process revokes is refused after its CacheTTL. With KEYHATCH_SOAK=1 the test
// runs for a minute at each rate, and also checks latencies and goroutines.
func TestFlood(t *testing.T) {
	lasts, ttl := 4*time.Second, time.Second // long enough to notice that a key lives on after it was revoked
	rates, webRates, slower := []int{4_000}, []int{1_000}, 1
	if testkit.Race {
		slower = 4 // the race detector slows down everything, including the clients
	}
	if testkit.Trials(0, 1) > 0 {
		lasts, ttl = time.Minute, 3*time.Second
		rates = []int{1_000, 2_000, 4_000, 8_000}
		webRates = rates
	}
	floods := map[string]flood{}
	for _, rate := range rates {
		floods[fmt.Sprint("in process, ", rate)] = attack(rate/slower, lasts, ttl)
	}
	far := attack(1_500/slower, lasts, ttl)
	far.connections, far.lookup = 0, 100*time.Millisecond
	floods["store 100 ms away, 1500"] = far
	for _, rate := range webRates {
		web := attack(rate/slower, lasts, ttl)
		web.http = true
		floods[fmt.Sprint("by HTTP, ", rate)] = web
	}
	for name, f := range floods {
		t.Run(name, func(t *testing.T) {
			if testkit.Trials(0, 1) == 0 {
				t.Parallel()
			}
			r := f.run(t)
			t.Logf("%s a second: %v", name, r)
			// On a loaded machine, the clients and the store are late too. A fault of the
			// cache fails every flood, so the last one counts even if timers were late.
			for tries := 1; tries < 3 && r.faults(ttl) != nil && r.late > maxLate; tries++ {
				t.Logf("again, since timers were up to %v late: %v", round(r.late), r.faults(ttl))
				r = f.run(t)
				t.Logf("%s a second: %v", name, r)
			}
			for _, fault := range r.faults(ttl) {
				t.Errorf("%s; timers were up to %v late", fault, round(r.late))
			}
			if testkit.Trials(0, 1) == 0 {
				return // so short a flood cannot show whether goroutines pile up
			}
			if r.goroutines > 15_000 {
				t.Errorf("too many goroutines: got %d", r.goroutines)
			}
			// If clients could not send, requests waited for the processors, not for the cache.
			if p99 := testkit.Percentile(r.known, 99); p99 > 100*time.Millisecond && r.unsent == 0 {
				t.Errorf("p99 of known keys: got %v, want at most 100 ms", p99)
			}
		})
	}
}

// C-14: revoked, disabled and expired keys do not take the places of active keys. The
// store hangs, so each look-up holds its place.
func TestEndedKeysTakeNoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 120
		st := &pooledStore{Store: memstore.New()}
		elsewhere := newManager(t, st.Store, &apikey.Options{MaxKeysPerOwner: -1})
		m := newManager(t, st, &apikey.Options{CacheTTL: time.Second, MaxKeysPerOwner: -1})
		keys := make([]apikey.Issued, n+1)
		disabled, soon := true, time.Now().Add(time.Second)
		for i := range keys {
			keys[i] = create(t, elsewhere, "o")
			var err error
			switch {
			case i == n:
			case i%3 == 0:
				_, err = elsewhere.Revoke(t.Context(), "o", keys[i].Key.ID, "")
			case i%3 == 1:
				_, err = elsewhere.Update(t.Context(), "o", keys[i].Key.ID, apikey.UpdateParams{Disabled: &disabled})
			default:
				_, err = elsewhere.Update(t.Context(), "o", keys[i].Key.ID, apikey.UpdateParams{ExpiresAt: &soon})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for range 2 { // the second round finds the keys cached
			for _, key := range keys {
				_, _ = m.Validate(t.Context(), key.Secret.Reveal())
			}
			time.Sleep(2 * time.Second)
		}
		st.lookup = time.Second
		for _, key := range keys[:n] {
			go func() { _, _ = m.Validate(t.Context(), key.Secret.Reveal()) }()
		}
		synctest.Wait()
		began := time.Now()
		if _, err := m.Validate(t.Context(), keys[n].Secret.Reveal()); err != nil || time.Since(began) > time.Second {
			t.Errorf("an active key among ended ones: got %v after %v, want no error after one look-up", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// Invariant 9: a look-up that got no connection in time is not an outage.
func TestBusyStoreIsNotOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := &floodResult{}
		st := &busyStore{Store: memstore.New()}
		m := newManager(t, st, &apikey.Options{CacheTTL: time.Minute, StaleIfError: time.Hour, CallTimeout: 30 * time.Millisecond, Logger: slog.New(failures)})
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		time.Sleep(2 * time.Minute)
		st.busy.Store(true)
		for range 2 { // after an outage, the second round would not call the store
			if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, apikey.ErrUnavailable) {
				t.Errorf("a key after its CacheTTL, with a busy store: got %v, want ErrUnavailable instead of a stale key", err)
			}
		}
		if _, err := m.List(t.Context(), apikey.ListParams{Owner: "o"}); !errors.Is(err, apikey.ErrUnavailable) || !errors.Is(err, store.ErrBusy) {
			t.Errorf("List of a busy store: got %v, want ErrUnavailable and ErrBusy", err)
		}
		st.busy.Store(false)
		wantValid(t, m, issued)
		if n := failures.failures.Load(); n > 0 {
			t.Errorf("logged failures of a busy store: got %d, want 0", n)
		}
	})
}

// Invariant 9: a provider that got no connection in time is not an outage.
func TestBusyProviderIsNotOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := &floodResult{}
		busy := &busyProvider{}
		m := newManager(t, memstore.New(), &apikey.Options{Entitlements: busy, CacheTTL: time.Minute, StaleIfError: time.Hour, CallTimeout: 30 * time.Millisecond, Logger: slog.New(failures)})
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		time.Sleep(2 * time.Minute)
		busy.Store(true)
		for range 10 { // after an outage, the cached plan would be served
			if _, err := m.Validate(t.Context(), issued.Secret.Reveal()); !errors.Is(err, apikey.ErrUnavailable) {
				t.Errorf("a key after the CacheTTL of its plan, with a busy provider: got %v, want ErrUnavailable instead of a stale plan", err)
			}
		}
		busy.Store(false)
		wantValid(t, m, issued)
		if n := failures.failures.Load(); n > 0 {
			t.Errorf("logged failures of a busy provider: got %d, want 0", n)
		}
	})
}

// A busyProvider returns only when its context ends.
type busyProvider struct{ atomic.Bool }

func (p *busyProvider) Entitlement(ctx context.Context, _ string) (entitlement.Entitlement, error) {
	if p.Load() {
		return entitlement.Entitlement{}, busyUntil(ctx)
	}
	return paid, nil
}

// A busyStore returns from a call only when its context ends.
type busyStore struct {
	store.Store
	busy atomic.Bool
}

func (s *busyStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	if s.busy.Load() {
		return store.Record{}, busyUntil(ctx)
	}
	return s.Store.Lookup(ctx, d)
}

func (s *busyStore) List(ctx context.Context, _ store.Query) (store.Page, error) {
	return store.Page{}, busyUntil(ctx)
}

func busyUntil(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", store.ErrBusy, ctx.Err())
}

// BenchmarkFlood measures how known keys are served during floods of unknown tokens, and
// without a flood, which is the floor. KEYHATCH_SOAK=1 makes the floods longer.
func BenchmarkFlood(b *testing.B) {
	lasts := time.Duration(testkit.Trials(2, 6)) * time.Second
	floods := map[string]flood{}
	for _, rate := range []int{0, 1_000, 2_000, 4_000, 8_000} {
		floods[fmt.Sprint("rate=", rate)] = attack(rate, lasts, 3*time.Second)
	}
	far := attack(1_500, lasts, 3*time.Second)
	far.connections, far.lookup = 0, 100*time.Millisecond
	floods["far/rate=1500"] = far
	for _, name := range slices.Sorted(maps.Keys(floods)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				floods[name].run(b).report(b)
			}
		})
	}
}

// BenchmarkSlowStore measures how keys in use are served while look-ups take 300 ms, and
// while they take 5 ms, which is the floor. The store has ten connections. With
// KEYHATCH_SOAK=1 it lasts for two CacheTTLs.
func BenchmarkSlowStore(b *testing.B) {
	for _, lookup := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond} {
		b.Run(fmt.Sprint("lookup=", lookup), func(b *testing.B) {
			for b.Loop() {
				flood{
					connections: 10, lookup: lookup, other: lookup, ttl: time.Duration(testkit.Trials(4, 10)) * time.Second,
					keys: 150, uses: 2_000, revocations: 2, lasts: time.Duration(testkit.Trials(4, 20)) * time.Second,
				}.run(b).report(b)
			}
		})
	}
}

func (r *floodResult) report(b *testing.B) {
	b.Logf("%v", r)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(r.accepted(), "%accepted")
	b.ReportMetric(ms(testkit.Percentile(r.known, 99)), "p99-ms")
	b.ReportMetric(ms(r.stayed), "revoked-elsewhere-ms")
	b.ReportMetric(float64(r.failures.Load()), "failures")
	b.ReportMetric(float64(r.goroutines), "goroutines")
	if len(r.revocations) > 0 {
		b.ReportMetric(ms(testkit.Percentile(r.revocations, 50)), "revoke-p50-ms")
		b.ReportMetric(ms(testkit.Percentile(r.listedRevocations, 50)), "revoke-listed-p50-ms")
	}
	b.ReportMetric(0, "ns/op")
}
