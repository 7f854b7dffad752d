package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A tardyStore takes a second for each call.
type tardyStore struct{ store.Store }

func (s tardyStore) Lookup(ctx context.Context, d store.Digest) (store.Record, error) {
	time.Sleep(time.Second)
	return s.Store.Lookup(ctx, d)
}

func (s tardyStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	time.Sleep(time.Second)
	return s.Store.Revoke(ctx, owner, id, at, reason)
}

type slowPlans struct{}

func (slowPlans) Entitlement(context.Context, string) (entitlement.Entitlement, error) {
	time.Sleep(time.Second)
	return entitlement.Entitlement{APIAccess: true, MaxKeys: -1}, nil
}

// callers that hang up, or whose deadline passes, are not an outage of the store.
// They cause no event, and no log line above debug.
func TestCallersThatHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events recorder
		var log bytes.Buffer
		st := memstore.New()
		issued := create(t, newManager(t, st, nil), "o")
		m := newManager(t, tardyStore{st}, &apikey.Options{
			OnEvent: events.record, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})), Entitlements: slowPlans{},
		})
		var all sync.WaitGroup
		for i := range 1_000 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if i%2 == 0 {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			all.Go(func() {
				defer cancel()
				var err error
				switch i % 5 {
				case 0:
					_, err = m.Validate(ctx, issued.Secret.Reveal())
				case 1:
					_, err = m.Validate(ctx, newForger("key", false).forge())
				case 2:
					_, err = m.Authorize(ctx, http.Header{"Authorization": {"Bearer " + issued.Secret.Reveal()}}, "reports:read")
				case 3:
					_, err = m.Create(ctx, apikey.CreateParams{Owner: fmt.Sprint("o", i), Name: "n"})
				case 4:
					_, err = m.Revoke(ctx, "o", issued.Key.ID, "")
				}
				if err == nil || i%5 < 3 && !errors.Is(err, apikey.ErrUnavailable) {
					t.Errorf("call %d: got %v, want ErrUnavailable", i%5, err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute) // calls whose callers hung up report what they changed
		synctest.Wait()
		for _, e := range events.take() {
			if e.Reason == apikey.ReasonUnavailable {
				t.Fatalf("an outage was reported, though the store works: %+v", e)
			}
		}
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, "level=INFO") && !strings.Contains(line, "overloaded") {
				t.Fatalf("got the log line %s for callers that hang up, want none", line)
			}
		}
	})
}

// A revoked key in use is logged at most once a minute, with the number of suppressed
// lines. OnEvent gets every use.
func TestRevokedKeyInUseIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events recorder
		var log bytes.Buffer
		m := newManager(t, memstore.New(), &apikey.Options{OnEvent: events.record, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		issued := create(t, m, "o")
		if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); err != nil {
			t.Fatal(err)
		}
		events.take()
		log.Reset()
		for range 3 {
			for range 1_000 {
				wantRefused(t, m, issued, apikey.ErrRevoked)
			}
			time.Sleep(time.Minute)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], "suppressed=0") || !strings.Contains(lines[1], "suppressed=999") || !strings.Contains(lines[2], "suppressed=999") {
			t.Errorf("log: got %q, want three lines with 0, 999 and 999 suppressed", lines)
		}
		if n := len(events.take()); n != 3_000 {
			t.Errorf("events: got %d, want 3,000", n)
		}
	})
}

// The revoked keys of one owner do not suppress the warnings of other owners' keys.
func TestWarningsOfOneOwnerDoNotHideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newManager(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		present := func(owner string) {
			issued := create(t, m, owner)
			if _, err := m.Revoke(t.Context(), owner, issued.Key.ID, ""); err != nil {
				t.Fatal(err)
			}
			log.Reset()
			wantRefused(t, m, issued, apikey.ErrRevoked)
		}
		for range 2_000 {
			present("attacker")
		}
		warned := 0
		for i := range 100 {
			present(fmt.Sprint("o", i))
			warned += strings.Count(log.String(), "revoked_key_used")
		}
		if warned < 90 { // a few owners share a row with another
			t.Errorf("reported keys of 100 owners: got %d, want at least 90", warned)
		}
	})
}

// An outage writes at most one line a second, however many requests there are.
func TestOutagesAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		st := &spyStore{Store: memstore.New()}
		m := newManager(t, st, &apikey.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		st.before = func(string) error { return errors.New("connection refused") }
		for range 5 {
			for range 1_000 {
				if _, err := m.Get(t.Context(), "o", "key_x"); !errors.Is(err, apikey.ErrUnavailable) {
					t.Fatalf("Get: got %v, want ErrUnavailable", err)
				}
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 5 || !strings.Contains(log.String(), "suppressed=999") {
			t.Errorf("got %d lines, want 5 with the number of suppressed lines:\n%s", n, log.String())
		}
	})
}

// Authorize reports a missing scope, as Require does.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	var events recorder
	m := newManager(t, memstore.New(), &apikey.Options{OnEvent: events.record})
	issued := create(t, m, "o")
	h := http.Header{"Authorization": {"Bearer " + issued.Secret.Reveal()}}
	events.take()
	if p, err := m.Authorize(t.Context(), h, "reports:read"); err != nil || p.Owner() != "o" {
		t.Errorf("Authorize = %v, %v, want the owner", p, err)
	}
	if p, err := m.Authorize(t.Context(), h, "reports:read", "admin"); !errors.Is(err, apikey.ErrScope) || p != nil {
		t.Errorf("Authorize without the scope: got %v, %v, want ErrScope", p, err)
	}
	if e := events.take(); len(e) != 1 || e[0].Reason != apikey.ReasonScope || e[0].KeyID != issued.Key.ID {
		t.Errorf("events: got %+v, want one with the reason scope", e)
	}
	if _, err := m.Authorize(t.Context(), http.Header{}); !errors.Is(err, apikey.ErrMissing) {
		t.Errorf("Authorize without a credential: got %v, want ErrMissing", err)
	}
}
