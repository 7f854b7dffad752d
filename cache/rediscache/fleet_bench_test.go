package rediscache_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/redis/go-redis/v9"
)

// A deaf receiver is an instance that has nothing in memory.
type deaf struct{ doubts *atomic.Int64 }

func (deaf) Forget(...cache.Key)            {}
func (deaf) ForgetGroup(cache.Key)          {}
func (d deaf) Doubt()                       { d.doubts.Add(1) }
func (deaf) Alone(time.Duration)            {}
func (deaf) Trust(time.Time, time.Duration) {}

// What many instances cost the server that change nothing. KEYHATCH_SOAK=1 has more
// of them, for longer.
func BenchmarkFleet(b *testing.B) {
	sizes, lasts := []int{50}, 2*time.Second
	if os.Getenv("KEYHATCH_SOAK") != "" {
		sizes, lasts = []int{50, 200, 400}, 20*time.Second
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			address := private(b).DSN()
			client := bare(b, address)
			var doubts atomic.Int64
			feeds := make([]*cache.Feed, n)
			for i := range feeds {
				c := open(b, address, &rediscache.Options{Namespace: "fleet"})
				feeds[i] = cache.NewFeed(c, deaf{&doubts}, nil)
				b.Cleanup(func() { feeds[i].Close(context.WithoutCancel(b.Context())) })
			}
			for _, f := range feeds {
				eventually(b, "a feed is up", f.Up)
			}
			time.Sleep(lasts)
			began, used, doubted := time.Now(), serverTime(b, client), doubts.Load()
			for b.Loop() {
				time.Sleep(lasts)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric((serverTime(b, client)-used)*1000/seconds, "server-ms/s")
			b.ReportMetric(float64(doubts.Load()-doubted)/seconds, "doubts/s")
		})
	}
}

var usedTime = regexp.MustCompile(`(?m)^used_cpu_(?:sys|user):([0-9.]+)`)

// serverTime is what the server has used, in seconds.
func serverTime(b *testing.B, client *redis.Client) (total float64) {
	b.Helper()
	info, err := client.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range usedTime.FindAllStringSubmatch(info, -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		total += n
	}
	return total
}
