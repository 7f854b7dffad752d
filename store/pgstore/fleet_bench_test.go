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
			var missed atomic.Int64
			groups := make([]*cache.Group, n)
			for i := range groups {
				s := open(b, dsn, &pgstore.Options{MaxConns: 1})
				groups[i] = cache.NewGroup(openBus(b, s, nil), &cache.GroupOptions{OnMissed: func() { missed.Add(1) }})
				b.Cleanup(func() { groups[i].Close(context.WithoutCancel(b.Context())) })
			}
			for _, g := range groups {
				await(b, "a group is up", g.Healthy)
			}
			time.Sleep(lasts)
			began, used, before := time.Now(), serverTime(b, folder), missed.Load()
			for b.Loop() {
				time.Sleep(lasts)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric((serverTime(b, folder)-used).Seconds()*1000/seconds, "server-ms/s")
			b.ReportMetric(float64(missed.Load()-before)/seconds, "stale-marks/s")
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
