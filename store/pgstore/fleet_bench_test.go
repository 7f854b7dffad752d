package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/storetest/testserver"
)

// A deaf receiver is an instance without cached entries.
type deaf struct{ doubts *atomic.Int64 }

func (deaf) Forget(...cache.Key)            {}
func (deaf) ForgetGroup(cache.Key)          {}
func (d deaf) Doubt()                       { d.doubts.Add(1) }
func (deaf) Alone(time.Duration)            {}
func (deaf) Trust(time.Time, time.Duration) {}

// BenchmarkFleet measures the server's load from many idle instances.
// KEYHATCH_SOAK=1 has more instances and runs longer.
func BenchmarkFleet(b *testing.B) {
	sizes, lasts := []int{50}, 2*time.Second
	if os.Getenv("KEYHATCH_SOAK") != "" {
		sizes, lasts = []int{50, 200}, 20*time.Second
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dsn := testserver.StartPostgreSQL(b, ping, "max_connections=1000").DSN()
			folder := query(b, dsn, "SHOW data_directory")
			var doubts atomic.Int64
			feeds := make([]*cache.Feed, n)
			for i := range feeds {
				s := open(b, dsn, &pgstore.Options{MaxConns: 1})
				feeds[i] = cache.NewFeed(openBus(b, s, nil), deaf{&doubts}, nil)
				b.Cleanup(func() { feeds[i].Close(context.WithoutCancel(b.Context())) })
			}
			for _, f := range feeds {
				await(b, "a feed is up", f.Up)
			}
			time.Sleep(lasts)
			began, used, doubted := time.Now(), serverTime(b, folder), doubts.Load()
			for b.Loop() {
				time.Sleep(lasts)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric((serverTime(b, folder)-used).Seconds()*1000/seconds, "server-ms/s")
			b.ReportMetric(float64(doubts.Load()-doubted)/seconds, "doubts/s")
		})
	}
}

// serverTime returns the CPU time of all processes of a server on this machine.
func serverTime(b *testing.B, folder string) (total time.Duration) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		b.Skip(err)
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 15 || fields[1] != postmaster && path != "/proc/"+postmaster+"/stat" {
			continue
		}
		times := fields[11:13] // user and system time, in 10 ms
		if path == "/proc/"+postmaster+"/stat" {
			times = fields[11:15] // and the times of children that have ended
		}
		for _, text := range times {
			n, _ := strconv.Atoi(text)
			total += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return total
}
