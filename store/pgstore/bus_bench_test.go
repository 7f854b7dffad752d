package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// took collects the durations of several operations that alternate.
type took map[string][]time.Duration

func (all took) measure(b *testing.B, what string, do func() error) {
	b.Helper()
	began := time.Now()
	if err := do(); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	all[what] = append(all[what], time.Since(began))
}

func (all took) report(b *testing.B) {
	for what, times := range all {
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(testkit.Percentile(times, p).Nanoseconds())/1e3, fmt.Sprintf("%s-p%d-µs", what, p))
		}
	}
}

// bare returns a plain pgx connection.
func bare(b *testing.B, dsn string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(context.WithoutCancel(b.Context())) })
	return conn
}

// listen receives messages and drops them.
func listen(b *testing.B, bus *pgstore.Bus) {
	b.Helper()
	r := testkit.Receive(b, bus)
	go func() {
		for {
			select {
			case <-r.Messages:
			case <-r.Ended:
				return
			}
		}
	}()
}

// disks lists this machine's disk and a simulated one that takes 1 ms per durable write, as
// many disks do.
var disks = []struct {
	name     string
	settings []string
}{
	{"this-disk", nil},
	{"1ms-disk", []string{"commit_delay=1000", "commit_siblings=0"}},
}

func onDisks(b *testing.B, run func(b *testing.B, dsn string)) {
	for _, d := range disks {
		b.Run(d.name, func(b *testing.B) {
			run(b, testkit.StartPostgreSQL(b, d.settings...).DSN())
		})
	}
}

// BenchmarkPublish compares Publish with the statement that it runs.
func BenchmarkPublish(b *testing.B) { onDisks(b, benchmarkPublish) }

func benchmarkPublish(b *testing.B, dsn string) {
	bus := openBus(b, open(b, dsn, nil), nil)
	listen(b, bus)
	conn := bare(b, dsn)
	const message = "1 0123456789abcdef 42 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	times := took{}
	for b.Loop() {
		times.measure(b, "select-1", func() error {
			_, err := conn.Exec(b.Context(), "SELECT $1::int", 1)
			return err
		})
		times.measure(b, "pg_notify", func() error {
			_, err := conn.Exec(b.Context(), "SELECT pg_notify($1, $2)", bus.Channel(), message)
			return err
		})
		times.measure(b, "publish", func() error { return bus.Publish(b.Context(), message) })
	}
	times.report(b)
}

// BenchmarkDeliver measures the time from calling Publish until a listener has the
// message.
func BenchmarkDeliver(b *testing.B) {
	bus := openBus(b, open(b, testkit.StartPostgreSQL(b).DSN(), nil), nil)
	r := testkit.Receive(b, bus)
	times := took{}
	for b.Loop() {
		times.measure(b, "deliver", func() error {
			err := bus.Publish(b.Context(), "message")
			r.Wants("message")
			return err
		})
	}
	times.report(b)
}

// BenchmarkNotifyInTransaction measures how much slower writers are if each of their
// transactions notifies: sixteen writers commit a row each, and it counts the
// commits. Notifying transactions commit one after the other.
func BenchmarkNotifyInTransaction(b *testing.B) { onDisks(b, benchmarkNotify) }

func benchmarkNotify(b *testing.B, dsn string) {
	const writers = 16
	s := open(b, addParam(dsn, fmt.Sprint("pool_max_conns=", writers)), nil)
	bus := openBus(b, s, nil)
	listen(b, bus)
	testkit.Execute(b, dsn, "CREATE TABLE written (n bigint)")
	const write = "INSERT INTO written VALUES ($1)"
	const both = "WITH w AS (INSERT INTO written VALUES ($1)) SELECT pg_notify($2, $3)"
	for _, c := range []struct {
		name   string
		commit func(ctx context.Context, n int64) error
	}{
		{"without", func(ctx context.Context, n int64) error {
			_, err := s.Pool().Exec(ctx, write, n)
			return err
		}},
		{"within", func(ctx context.Context, n int64) error {
			_, err := s.Pool().Exec(ctx, both, n, bus.Channel(), fmt.Sprint(n))
			return err
		}},
		{"then-Publish", func(ctx context.Context, n int64) error {
			if _, err := s.Pool().Exec(ctx, write, n); err != nil {
				return err
			}
			return bus.Publish(ctx, fmt.Sprint(n))
		}},
	} {
		b.Run(c.name, func(b *testing.B) { b.ReportMetric(commits(b, writers, c.commit), "commits/s") })
	}
}

// commits counts the commits of many writers in a second.
func commits(b *testing.B, writers int, commit func(ctx context.Context, n int64) error) float64 {
	b.Helper()
	var done atomic.Int64
	began := time.Now()
	for b.Loop() {
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range 20 {
					if err := commit(b.Context(), done.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	return float64(done.Load()) / time.Since(began).Seconds()
}
