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
			var missed atomic.Int64
			groups := make([]*cache.Group, n)
			for i := range groups {
				c := open(b, address, &rediscache.Options{Namespace: "fleet"})
				groups[i] = cache.NewGroup(c, &cache.GroupOptions{OnMissed: func() { missed.Add(1) }})
				b.Cleanup(func() { groups[i].Close(context.WithoutCancel(b.Context())) })
			}
			for _, g := range groups {
				eventually(b, "a group is up", g.Healthy)
			}
			time.Sleep(lasts)
			began, used, before := time.Now(), serverTime(b, client), missed.Load()
			for b.Loop() {
				time.Sleep(lasts)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric((serverTime(b, client)-used)*1000/seconds, "server-ms/s")
			b.ReportMetric(float64(missed.Load()-before)/seconds, "stale-marks/s")
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
