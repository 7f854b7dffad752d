package apikey_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A watchedBilling has the Watch of its test.
type watchedBilling struct {
	billing
	watches atomic.Int64
	watch   func(ctx context.Context, gap func(), changed func(string)) error
}

func (b *watchedBilling) Watch(ctx context.Context, gap func(), changed func(string)) error {
	b.watches.Add(1)
	return b.watch(ctx, gap, changed)
}

// A change that the provider reports takes effect at once, in other instances too. After a
// gap, all entitlements are looked up again.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan string)
		b := &watchedBilling{billing: billing{result: plan(paid)}}
		b.watch = func(ctx context.Context, gap func(), changed func(string)) error {
			gap()
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case owner := <-changes:
					if owner == "" {
						gap()
						continue
					}
					changed(owner)
				}
			}
		}
		st, bus := memstore.New(), &memoryBus{}
		m := newManager(t, st, &apikey.Options{Entitlements: b, Bus: bus, CacheTTL: time.Hour})
		other := newManager(t, st, &apikey.Options{Entitlements: &b.billing, Bus: bus, CacheTTL: time.Hour})
		settle()
		ann, bob := create(t, m, "ann"), create(t, m, "bob")
		wantValid(t, other, ann)
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		wantValid(t, m, ann)

		changes <- "ann"
		synctest.Wait()
		wantRefused(t, m, ann, apikey.ErrNotEntitled)
		wantRefused(t, other, ann, apikey.ErrNotEntitled)
		wantValid(t, m, bob)

		changes <- ""
		synctest.Wait()
		wantRefused(t, m, bob, apikey.ErrNotEntitled)
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.watches.Load(); n != 1 {
			t.Errorf("calls of a Watch that does not return: got %d, want 1", n)
		}
	})
}

// A Watch that returns or panics is called again, after a pause.
func TestWatchIsCalledAgain(t *testing.T) {
	for name, watch := range map[string]func() error{
		"error":   func() error { return errDown },
		"nothing": func() error { return nil },
		"panic":   func() error { panic("boom") },
		"exit":    func() error { runtime.Goexit(); return nil },
		"hostile": func() error { return hostileError{} },
	} {
		synctest.Test(t, func(t *testing.T) {
			var logged strings.Builder
			var mu sync.Mutex
			logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &logged}, nil))
			b := &watchedBilling{billing: billing{result: plan(paid)}}
			b.watch = func(_ context.Context, gap func(), changed func(string)) error {
				gap()
				changed("o")
				changed("")
				changed(strings.Repeat("x", 1<<20))
				return watch()
			}
			m := newManager(t, memstore.New(), &apikey.Options{Entitlements: b, Logger: logger})
			wantValid(t, m, create(t, m, "o"))
			time.Sleep(10 * time.Minute)
			n := b.watches.Load()
			if n < 20 || n > 25 {
				t.Errorf("%s: got %d calls of Watch in 10 minutes, want one about every 30 s", name, n)
			}
			if err := m.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if b.watches.Load() != n {
				t.Errorf("%s: Watch was called after Close", name)
			}
			mu.Lock()
			defer mu.Unlock()
			if !strings.Contains(logged.String(), "entitlement watch failed") {
				t.Errorf("%s: got the log %q, want a warning", name, logged.String())
			}
		})
	}
}

// A hostileError has a method that panics.
type hostileError struct{}

func (hostileError) Error() string { return "hostile" }
func (hostileError) Is(error) bool { panic("boom") }

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// Close waits for a Watch until its context ends.
func TestCloseWaitsForWatch(t *testing.T) {
	t.Parallel()
	resume, watching := make(chan struct{}), make(chan struct{})
	b := &watchedBilling{billing: billing{result: plan(paid)}}
	b.watch = func(context.Context, func(), func(string)) error {
		close(watching)
		<-resume
		return errDown
	}
	m, err := apikey.New(memstore.New(), &apikey.Options{Entitlements: b})
	if err != nil {
		t.Fatal(err)
	}
	<-watching
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close during a Watch that hangs: got %v, want context.DeadlineExceeded", err)
	}
	close(resume)
	if err := m.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// A bus that hangs delays neither the changes that the provider reports nor Close.
func TestWatchWhileBusHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, begin := &memoryBus{}, make(chan struct{})
		b := &watchedBilling{billing: billing{result: plan(paid)}}
		b.watch = func(ctx context.Context, gap func(), changed func(string)) error {
			gap()
			<-begin
			for range 1_000 {
				changed("somebody")
			}
			changed("o")
			<-ctx.Done()
			return ctx.Err()
		}
		m, err := apikey.New(memstore.New(), &apikey.Options{Entitlements: b, Bus: bus, CacheTTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		settle()
		issued := create(t, m, "o")
		wantValid(t, m, issued)
		bus.fail(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		b.result = plan(entitlement.Entitlement{Plan: "free"})
		close(begin)
		time.Sleep(10 * time.Second)
		wantRefused(t, m, issued, apikey.ErrNotEntitled)
		began := time.Now()
		if err := m.Close(t.Context()); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("Close: got %v after %v", err, time.Since(began))
		}
	})
}
