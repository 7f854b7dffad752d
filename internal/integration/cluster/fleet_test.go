package cluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// A busServer opens buses on its own server, and returns the server's CPU time.
type busServer struct {
	open func() cache.Bus
	used func() time.Duration
}

// BenchmarkFleet measures a server's load from many idle instances. KEYHATCH_SOAK=1 has
// more instances and runs longer.
func BenchmarkFleet(b *testing.B) {
	lasts := testkit.Scale(2*time.Second, 20*time.Second)
	for name, start := range map[string]func(*testing.B) busServer{"Redis": startRedisBus, "PostgreSQL": startPostgresBus} {
		for _, n := range []int{50, 200}[:testkit.Scale(1, 2)] {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) { benchmarkFleet(b, start(b), n, lasts) })
		}
	}
}

func benchmarkFleet(b *testing.B, server busServer, n int, lasts time.Duration) {
	var missed atomic.Int64
	groups := make([]*cache.Group, n)
	for i := range groups {
		groups[i] = cache.NewGroup(server.open(), &cache.GroupOptions{OnMissed: func() { missed.Add(1) }})
		b.Cleanup(func() { groups[i].Close(context.WithoutCancel(b.Context())) })
	}
	for _, g := range groups {
		testkit.Await(b, "a group is up", g.Healthy)
	}
	time.Sleep(lasts)
	began, used, before := time.Now(), server.used(), missed.Load()
	for b.Loop() {
		time.Sleep(lasts)
	}
	seconds := time.Since(began).Seconds()
	b.ReportMetric((server.used()-used).Seconds()*1000/seconds, "server-ms/s")
	b.ReportMetric(float64(missed.Load()-before)/seconds, "stale-marks/s")
}

var usedTime = regexp.MustCompile(`(?m)^used_cpu_(?:sys|user):([0-9.]+)`)

func startRedisBus(b *testing.B) busServer {
	address := testkit.StartRedis(b).DSN()
	client := redis.NewClient(&redis.Options{Addr: address})
	b.Cleanup(func() { client.Close() })
	return busServer{
		open: func() cache.Bus {
			c, err := rediscache.Open(b.Context(), "redis://"+address, secret, &rediscache.Options{Namespace: "fleet"})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			return c
		},
		used: func() (total time.Duration) {
			info, err := client.Info(b.Context(), "cpu").Result()
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range usedTime.FindAllStringSubmatch(info, -1) {
				seconds, _ := strconv.ParseFloat(m[1], 64)
				total += time.Duration(seconds * float64(time.Second))
			}
			return total
		},
	}
}

func startPostgresBus(b *testing.B) busServer {
	dsn := testkit.StartPostgreSQL(b, "max_connections=1000").DSN()
	folder := valueOf(b, dsn, "SHOW data_directory")
	return busServer{
		open: func() cache.Bus {
			st, err := pgstore.Open(b.Context(), dsn, &pgstore.Options{MaxConns: 1})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { st.Close() })
			bus, err := st.Bus(b.Context(), nil)
			if err != nil {
				b.Fatal(err)
			}
			return bus
		},
		used: func() time.Duration { return postgresTime(b, folder) },
	}
}

// postgresTime returns the CPU time of all processes of a server on this machine.
func postgresTime(b *testing.B, folder string) (total time.Duration) {
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
