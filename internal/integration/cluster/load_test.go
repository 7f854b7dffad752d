package cluster_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// warmArgs holds tokens, and the time over which their first uses are spread.
type warmArgs struct {
	Tokens []string
	Over   time.Duration
}

func (r *role) warm(a warmArgs) struct{} {
	began := time.Now()
	for i, token := range a.Tokens {
		time.Sleep(time.Until(began.Add(a.Over * time.Duration(i) / time.Duration(len(a.Tokens)))))
		_, _ = r.keys.Validate(context.Background(), token)
	}
	return struct{}{}
}

// loadArgs describe a load of requests.
type loadArgs struct {
	Rate          int // requests per second
	For           time.Duration
	Good, Revoked []string
	GoodIn, BadIn int // percentages of active and unknown tokens; the others are revoked
}

// slow is the maximum duration that R-04 allows.
const slow = 300 * time.Millisecond

// A loadResult counts the results of a load.
type loadResult struct {
	Good, Revoked, Unknown map[string]int // by result
	P50, P99, Max          time.Duration
	Slow                   int // requests that took longer than slow
	Seconds                []second
	Goroutines             int // maximum
}

// A second holds the figures of one second.
type second struct {
	Reads int64
	P99   time.Duration
}

// A loader sends requests to a Manager.
type loader struct {
	args   loadArgs
	role   *role
	others *apikey.Manager // generates unknown tokens
	began  time.Time

	mu     sync.Mutex
	result loadResult
	took   [][]time.Duration // by the second in which the requests began
}

func (r *role) load(a loadArgs) loadResult {
	others, err := apikey.New(memstore.New(), &apikey.Options{MaxKeysPerOwner: -1})
	if err != nil {
		panic(err)
	}
	defer others.Close(context.Background())
	l := &loader{args: a, role: r, others: others, began: time.Now()}
	l.result = loadResult{Good: map[string]int{}, Revoked: map[string]int{}, Unknown: map[string]int{}}
	l.run()
	return l.finish()
}

// run sends each request at its time, even if earlier ones have not returned, as clients do.
func (l *loader) run() {
	var requests sync.WaitGroup
	reads := l.role.store.reads.Load()
	total := int(l.args.For.Seconds() * float64(l.args.Rate))
	for i := range total {
		time.Sleep(time.Until(l.began.Add(time.Duration(i) * time.Second / time.Duration(l.args.Rate))))
		requests.Go(func() { l.request(i) })
		l.result.Goroutines = max(l.result.Goroutines, runtime.NumGoroutine())
		if (i+1)%l.args.Rate == 0 || i == total-1 {
			now := l.role.store.reads.Load()
			l.result.Seconds = append(l.result.Seconds, second{Reads: now - reads})
			reads = now
		}
	}
	requests.Wait()
}

func (l *loader) request(i int) {
	token, answers := l.pick(i)
	begin := time.Now()
	_, err := l.role.keys.Validate(context.Background(), token)
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	answers[answerOf(err)]++
	for len(l.took) <= i/l.args.Rate {
		l.took = append(l.took, nil)
	}
	l.took[i/l.args.Rate] = append(l.took[i/l.args.Rate], took)
}

// pick returns a random token, since tokens in a fixed order would be looked up in waves.
func (l *loader) pick(i int) (token string, answers map[string]int) {
	share := i % 100
	switch a := &l.args; {
	case share < a.GoodIn:
		return a.Good[rand.IntN(len(a.Good))], l.result.Good
	case share < a.GoodIn+a.BadIn || len(a.Revoked) == 0:
		issued, err := l.others.Create(context.Background(), apikey.CreateParams{Owner: "nobody" + strconv.Itoa(i), Name: "proof"})
		if err != nil {
			panic(err)
		}
		return issued.Secret.Reveal(), l.result.Unknown
	default:
		return a.Revoked[rand.IntN(len(a.Revoked))], l.result.Revoked
	}
}

func (l *loader) finish() loadResult {
	var all []time.Duration
	for i, some := range l.took {
		for _, d := range some {
			if d > slow {
				l.result.Slow++
			}
		}
		all = append(all, some...)
		if i < len(l.result.Seconds) {
			l.result.Seconds[i].P99 = testkit.Percentile(some, 99)
		}
	}
	r := l.result
	r.P50, r.P99, r.Max = testkit.Percentile(all, 50), testkit.Percentile(all, 99), testkit.Percentile(all, 100)
	return r
}
