package rediscache_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
)

// compare measures two calls alternately, so that a busy machine slows down both.
func compare(b *testing.B, ours, theirs func(ctx context.Context) error) {
	b.Helper()
	took := [2][]time.Duration{}
	for b.Loop() {
		for i, call := range []func(context.Context) error{ours, theirs} {
			began := time.Now()
			if err := call(b.Context()); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	for i, name := range []string{"ours", "bare"} {
		reportPercentiles(b, name, took[i])
	}
	b.ReportMetric(float64(testkit.Percentile(took[0], 50))/float64(testkit.Percentile(took[1], 50)), "times-bare")
}

// reportPercentiles adds the times to the benchmark's figures.
func reportPercentiles(b *testing.B, name string, times []time.Duration) {
	b.Helper()
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(testkit.Percentile(times, p).Nanoseconds())/1e3, fmt.Sprintf("%s-p%d-µs", name, p))
	}
}

// newTwinClient returns a client of go-redis with the settings that a Cache uses.
func newTwinClient(b *testing.B) *redis.Client {
	b.Helper()
	client := redis.NewClient(&redis.Options{Addr: testkit.UseRedis(b), Protocol: 2, ContextTimeoutEnabled: true, MaxRetries: -1})
	b.Cleanup(func() { client.Close() })
	return client
}

// Get compared with a bare GET of as many bytes as the server keeps for the entry.
func BenchmarkGet(b *testing.B) {
	c, client, key := open(b, testkit.UseRedis(b), nil), newTwinClient(b), newKey()
	item := cache.Item{Value: bytes.Repeat([]byte("x"), 500)}
	fill(b, c, key, item)
	name := testkit.NewName()
	if err := client.Set(b.Context(), name, bytes.Repeat([]byte("x"), 549), time.Hour).Err(); err != nil {
		b.Fatal(err)
	}
	get := func(ctx context.Context) error {
		_, _, err := c.Get(ctx, key)
		if err == cache.ErrMiss { // the entry has expired
			fill(b, c, key, item)
			return nil
		}
		return err
	}
	compare(b, get, func(ctx context.Context) error { return client.Get(ctx, name).Err() })
}

// Publish compared with a bare PUBLISH, each with one receiver.
func BenchmarkPublish(b *testing.B) {
	c, client := open(b, testkit.UseRedis(b), nil), newTwinClient(b)
	message, channel := string(bytes.Repeat([]byte("x"), 100)), testkit.NewName()
	r := testkit.Receive(b, c)
	go func() {
		for range r.Messages {
		}
	}()
	subscription := client.Subscribe(b.Context(), channel)
	defer subscription.Close()
	go func() {
		for range subscription.Channel() {
		}
	}()
	compare(b, func(ctx context.Context) error { return c.Publish(ctx, message) },
		func(ctx context.Context) error { return client.Publish(ctx, channel, message).Err() })
}

// BenchmarkDeliver measures the time from calling Publish until another instance has the message.
func BenchmarkDeliver(b *testing.B) {
	c := open(b, testkit.UseRedis(b), nil)
	r := testkit.Receive(b, c)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := c.Publish(b.Context(), "message"); err != nil {
			b.Fatal(err)
		}
		r.Wants("message")
		took = append(took, time.Since(began))
	}
	reportPercentiles(b, "deliver", took)
}

// BenchmarkFill measures a Get that misses, and the Set that follows.
func BenchmarkFill(b *testing.B) {
	c := open(b, testkit.UseRedis(b), nil)
	item := cache.Item{Value: bytes.Repeat([]byte("x"), 500)}
	for b.Loop() {
		key := newKey()
		_, lease, err := c.Get(b.Context(), key)
		if err != cache.ErrMiss {
			b.Fatal(err)
		}
		if err := c.Set(b.Context(), key, lease, item, time.Second); err != nil {
			b.Fatal(err)
		}
	}
}

// A thousand keys at once, as RevokeAll deletes them.
func BenchmarkDelete(b *testing.B) {
	c := open(b, testkit.UseRedis(b), nil)
	keys := make([]cache.Key, 1000)
	for i := range keys {
		keys[i] = newKey()
	}
	for b.Loop() {
		if err := c.Delete(b.Context(), keys...); err != nil {
			b.Fatal(err)
		}
	}
}
