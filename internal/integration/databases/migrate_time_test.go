package databases_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
)

// programs of version 1 read and write while Migrate updates a table of many rows. None of
// their calls fails. The test logs the durations of Migrate and of the longest call.
func TestMigrateDuringTraffic(t *testing.T) {
	n := testkit.Scale(5_000, 1_000_000)
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			if !testkit.Soak() { // otherwise other tests run in parallel
				t.Parallel()
			}
			dsn := d.dsn(t)
			old := openVersion1(t, d, dsn)
			fillOwner(t, old.db, d.dialect, endedOwner, 0, n/2)
			fillOwner(t, old.db, d.dialect, "current", n/2, n/2)
			read, write := &longest{}, &longest{}
			ctx, end := context.WithCancel(t.Context())
			var others sync.WaitGroup
			for name, l := range map[string]*longest{"read": read, "write": write} {
				v := &version1{testkit.OpenDB(t, d.driver, dsn), d}
				others.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						began := time.Now()
						var err error
						if name == "read" {
							_, err = v.revoked(t.Context(), store.Record{Digest: filledDigest(i * 7919 % n)})
						} else {
							err = v.Insert(t.Context(), record("other", fmt.Sprint("other", i)), -1)
						}
						if err != nil {
							t.Errorf("a %s during Migrate: %v", name, err)
							return
						}
						l.took(time.Since(began))
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
			before := [2]time.Duration{read.reset(), write.reset()}
			s := newStore(t, d.dialect, testkit.OpenDB(t, d.driver, dsn), nil)
			began := time.Now()
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			time.Sleep(100 * time.Millisecond) // until the waiting calls return
			t.Logf("%d rows: Migrate took %v, the longest read %v and the longest write %v; before it %v",
				n, took, read.reset(), write.reset(), before)
			end()
			others.Wait()
			if r, err := s.Lookup(t.Context(), filledDigest(0)); err != nil || r.Owner != endedOwner {
				t.Errorf("Lookup after Migrate: got %+v, %v", r, err)
			}
			if err := s.Insert(t.Context(), record("other", "one more"), 1); !errors.Is(err, store.ErrLimit) {
				t.Errorf("Insert after Migrate, at the limit: got %v, want %v", err, store.ErrLimit)
			}
		})
	}
}

// longest holds the duration of the longest call.
type longest struct {
	mu sync.Mutex
	d  time.Duration
}

func (l *longest) took(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.d = max(l.d, d)
}

func (l *longest) reset() (d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, l.d = l.d, 0
	return d
}
