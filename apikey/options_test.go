package apikey_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// The defaults are documented, and options that are set are used.
func TestOptionsOfTheCache(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts *apikey.Options
		want cache.Options
	}{
		{"nil", nil, cache.Options{Size: 100_000, TTL: time.Minute, NegativeTTL: 5 * time.Second, LoadTimeout: 3 * time.Second}},
		{
			"set",
			&apikey.Options{CacheSize: 7, CacheTTL: 1e6, NegativeTTL: 2e6, StaleIfError: 3e6, CallTimeout: 4e6}, // 1 ms is the minimum
			cache.Options{Size: 7, TTL: 1e6, NegativeTTL: 2e6, StaleIfError: 3e6, LoadTimeout: 4e6},
		},
	} {
		m, err := apikey.New(memstore.New(), tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		got := m.CacheOptions()
		got.Clock = nil
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A duration without a unit is nanoseconds, which nobody means.
func TestDurationsNeedAUnit(t *testing.T) {
	for field, opts := range map[string]apikey.Options{
		"CacheTTL":      {CacheTTL: 60},
		"NegativeTTL":   {NegativeTTL: 5},
		"StaleIfError":  {StaleIfError: 300},
		"TouchInterval": {TouchInterval: 300},
		"CallTimeout":   {CallTimeout: time.Millisecond - 1},
	} {
		_, err := apikey.New(memstore.New(), &opts)
		var invalid *apikey.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field || !strings.Contains(invalid.Reason, "no unit?") {
			t.Errorf("New with a %s without a unit: got %v, want an InvalidError that asks for the unit", field, err)
		}
	}
}

// Outages and revoked keys in use are logged as warnings or errors. Other refusals, which
// any client can cause, are logged at debug level.
func TestLogLevels(t *testing.T) {
	var log bytes.Buffer
	st := &brokenStore{Store: memstore.New()}
	st.fixed.Store(true)
	m := newManager(t, st, &apikey.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	want := func(what, line string) {
		t.Helper()
		if !strings.Contains(log.String(), line) {
			t.Errorf("%s: got the log %q, want a line with %q", what, log.String(), line)
		}
		log.Reset()
	}
	issued := create(t, m, "o")
	want("created, without attributes that are empty", `level=INFO msg="apikey: created" owner=o key=`+issued.Key.ID+"\n")
	_, _ = m.Validate(t.Context(), "garbage")
	want("refused", `level=DEBUG msg="apikey: refused" reason=malformed`+"\n")
	if _, err := m.Revoke(t.Context(), "o", issued.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	want("revoked", `level=INFO msg="apikey: revoked"`)
	_, _ = m.Validate(t.Context(), issued.Secret.Reveal())
	want("revoked_key_used", `level=WARN msg="apikey: revoked_key_used" owner=o key=`+issued.Key.ID)
	_, _ = m.Get(t.Context(), "thief", issued.Key.ID)
	want("owner mismatch", `level=WARN msg="apikey: owner_mismatch" owner=thief`)
	st.fixed.Store(false)
	st.lookup = brokenLookup
	_, err := m.Validate(t.Context(), newForger("key", false).forge())
	if errors.Is(err, apikey.ErrUnknown) {
		_, err = m.Validate(t.Context(), create(t, m, "o").Secret.Reveal())
	}
	if !errors.Is(err, apikey.ErrUnavailable) {
		t.Fatalf("Validate with a failing store: %v", err)
	}
	want("outage", `level=ERROR msg="apikey: store failed"`)
}

// Every size of the cache works, from one key to the maximum, which reserves memory but does
// not use it.
func TestCacheSizes(t *testing.T) {
	for _, size := range []int{1, 2, 3, 10, testkit.Trials(1_000, 100_000_000)} {
		m := newManager(t, memstore.New(), &apikey.Options{CacheSize: size, MaxKeysPerOwner: -1})
		for range 20 {
			issued := create(t, m, "o")
			wantValid(t, m, issued)
			wantValid(t, m, issued)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
