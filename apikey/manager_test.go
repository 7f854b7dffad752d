package apikey_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// newManager returns a Manager that is closed when the test ends. Its cache is small unless
// opts sets the size, since a cache of the default size takes longer than most tests.
func newManager(t testing.TB, st store.Store, opts *apikey.Options) *apikey.Manager {
	t.Helper()
	var o apikey.Options
	if opts != nil {
		o = *opts
	}
	o.CacheSize = cmp.Or(o.CacheSize, 5_000)
	m, err := apikey.New(st, &o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

func create(t testing.TB, m *apikey.Manager, owner string) apikey.Issued {
	t.Helper()
	issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: "test", Scopes: []string{"reports:read"}})
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return issued
}

func wantValid(t testing.TB, m *apikey.Manager, i apikey.Issued) *apikey.Principal {
	t.Helper()
	p, err := m.Validate(t.Context(), i.Secret.Reveal())
	if err != nil {
		t.Fatalf("Validate of an active key: %v", err)
	}
	if p.Key().ID != i.Key.ID {
		t.Fatalf("Validate returned key %s, want %s", p.Key().ID, i.Key.ID)
	}
	return p
}

func wantRefused(t testing.TB, m *apikey.Manager, i apikey.Issued, want error) {
	t.Helper()
	if p, err := m.Validate(t.Context(), i.Secret.Reveal()); !errors.Is(err, want) || p != nil {
		t.Errorf("Validate = %v, %v, want %v and no Principal", p, err, want)
	}
}

// pause yields for a short random time, so that goroutines overlap in many ways.
func pause() {
	switch n := rand.IntN(8); {
	case n < 4:
		runtime.Gosched()
	case n < 7:
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	}
}

// A spyStore counts look-ups and runs a hook before and after each call.
type spyStore struct {
	store.Store
	lookups atomic.Int64
	before  func(op string) error
	after   func(op string)
}

func (s *spyStore) call(op string, f func() error) error {
	if s.before != nil {
		if err := s.before(op); err != nil {
			return err
		}
	}
	err := f()
	if s.after != nil {
		s.after(op)
	}
	return err
}

func (s *spyStore) Lookup(ctx context.Context, d store.Digest) (r store.Record, err error) {
	s.lookups.Add(1)
	err = s.call("Lookup", func() error { r, err = s.Store.Lookup(ctx, d); return err })
	return r, err
}

func (s *spyStore) Get(ctx context.Context, owner, id string) (r store.Record, err error) {
	err = s.call("Get", func() error { r, err = s.Store.Get(ctx, owner, id); return err })
	return r, err
}

func (s *spyStore) Insert(ctx context.Context, r store.Record, limit int) error {
	return s.call("Insert", func() error { return s.Store.Insert(ctx, r, limit) })
}

func (s *spyStore) List(ctx context.Context, q store.Query) (p store.Page, err error) {
	err = s.call("List", func() error { p, err = s.Store.List(ctx, q); return err })
	return p, err
}

func (s *spyStore) Count(ctx context.Context, owner string, at time.Time) (n int, err error) {
	err = s.call("Count", func() error { n, err = s.Store.Count(ctx, owner, at); return err })
	return n, err
}

func (s *spyStore) Update(ctx context.Context, owner, id string, c store.Change) (r store.Record, err error) {
	err = s.call("Update", func() error { r, err = s.Store.Update(ctx, owner, id, c); return err })
	return r, err
}

func (s *spyStore) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (r store.Record, changed bool, err error) {
	err = s.call("Revoke", func() error { r, changed, err = s.Store.Revoke(ctx, owner, id, at, reason); return err })
	return r, changed, err
}

func (s *spyStore) RevokeAll(ctx context.Context, owner string, at time.Time, reason string) (r []store.Record, err error) {
	err = s.call("RevokeAll", func() error { r, err = s.Store.RevokeAll(ctx, owner, at, reason); return err })
	return r, err
}

func (s *spyStore) Rotate(ctx context.Context, owner, id string, next store.Record, ends time.Time, limit int) (old, now store.Record, err error) {
	err = s.call("Rotate", func() error { old, now, err = s.Store.Rotate(ctx, owner, id, next, ends, limit); return err })
	return old, now, err
}

func (s *spyStore) Touch(ctx context.Context, uses []store.Use) error {
	return s.call("Touch", func() error { return s.Store.Touch(ctx, uses) })
}

// A recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []apikey.Event
}

func (r *recorder) record(_ context.Context, e apikey.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns the events since the last take.
func (r *recorder) take() []apikey.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

type entitlements struct{ entitlement.Provider }

func TestNewRefusesBadOptions(t *testing.T) {
	key := func(b byte) []byte {
		k := make([]byte, 32)
		for i := range k {
			k[i] = b + byte(i)
		}
		return k
	}
	for _, tt := range []struct {
		name  string
		opts  apikey.Options
		field string
	}{
		{"short prefix", apikey.Options{Prefix: "a"}, "Prefix"},
		{"long prefix", apikey.Options{Prefix: "abcdefghij0123456789k"}, "Prefix"},
		{"upper case prefix", apikey.Options{Prefix: "Acme"}, "Prefix"},
		{"digit first", apikey.Options{Prefix: "1acme"}, "Prefix"},
		{"double underscore", apikey.Options{Prefix: "a__b"}, "Prefix"},
		{"trailing underscore", apikey.Options{Prefix: "acme_"}, "Prefix"},
		{"negative ttl", apikey.Options{CacheTTL: -1}, "CacheTTL"},
		{"negative negative ttl", apikey.Options{NegativeTTL: -1}, "NegativeTTL"},
		{"negative stale", apikey.Options{StaleIfError: -1}, "StaleIfError"},
		{"negative touch", apikey.Options{TouchInterval: -1}, "TouchInterval"},
		{"negative timeout", apikey.Options{CallTimeout: -1}, "CallTimeout"},
		{"negative size", apikey.Options{CacheSize: -1}, "CacheSize"},
		{"size beyond memory", apikey.Options{CacheSize: math.MaxInt32}, "CacheSize"},
		{"nil pointer for a provider", apikey.Options{Entitlements: (*entitlements)(nil)}, "Entitlements"},
		{"nil func for a provider", apikey.Options{Entitlements: entitlement.ProviderFunc(nil)}, "Entitlements"},
		{"short MAC key", apikey.Options{MACKeys: [][]byte{key(1), key(2)[:31]}}, "MACKeys"}, // T-13
		{"zero MAC key", apikey.Options{MACKeys: [][]byte{make([]byte, 32)}}, "MACKeys"},
		{"repeated MAC key", apikey.Options{MACKeys: [][]byte{key(1), key(1)}}, "MACKeys"},
		{"no MAC key", apikey.Options{MACKeys: [][]byte{}}, "MACKeys"},
		{"no MAC and no MAC key", apikey.Options{AcceptWithoutMAC: true}, "AcceptWithoutMAC"},
		{"nil legacy format", apikey.Options{LegacyFormats: []*regexp.Regexp{nil}}, "LegacyFormats"},
		{"empty legacy format", apikey.Options{LegacyFormats: []*regexp.Regexp{regexp.MustCompile(`x*`)}}, "LegacyFormats"},
		{"no headers", apikey.Options{Headers: []string{}}, "Headers"},
		{"bad header", apikey.Options{Headers: []string{"X API Key"}}, "Headers"},
		{"cookie", apikey.Options{Headers: []string{"cookie"}}, "Headers"},
		{"realm", apikey.Options{Realm: "a\r\nb"}, "Realm"},
	} {
		_, err := apikey.New(memstore.New(), &tt.opts)
		var invalid *apikey.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != tt.field {
			t.Errorf("%s: New = %v, want an InvalidError of %s", tt.name, err, tt.field)
		}
	}
	var typedNil *memstore.Store
	for _, st := range []store.Store{nil, typedNil} {
		if _, err := apikey.New(st, nil); err == nil {
			t.Errorf("New(%T(nil)) succeeded, want an InvalidError", st)
		}
	}
}

func TestBadInputWritesNothing(t *testing.T) {
	longName, wide := strings.Repeat("é", 65), strings.Repeat("é", 64)
	scopes := make([]string, 33)
	for i := range scopes {
		scopes[i] = "s" + strings.Repeat("x", i)
	}
	for _, tt := range []struct {
		name  string
		p     apikey.CreateParams
		field string // empty if the input is valid
	}{
		{"valid", apikey.CreateParams{Owner: "o", Name: "n"}, ""},
		{"64 wide characters", apikey.CreateParams{Owner: "o", Name: "  " + wide + "\t"}, ""},
		{"32 scopes", apikey.CreateParams{Owner: "o", Name: "n", Scopes: scopes[:32]}, ""},
		{"4 KiB of metadata", apikey.CreateParams{Owner: "o", Name: "n", Metadata: map[string]string{"k": strings.Repeat("v", 4095)}}, ""},
		{"no owner", apikey.CreateParams{Name: "n"}, "Owner"},
		{"long owner", apikey.CreateParams{Owner: strings.Repeat("o", 256), Name: "n"}, "Owner"},
		{"owner with NUL", apikey.CreateParams{Owner: "a\x00b", Name: "n"}, "Owner"},
		{"owner of bad UTF-8", apikey.CreateParams{Owner: "a\xff", Name: "n"}, "Owner"},
		{"no name", apikey.CreateParams{Owner: "o"}, "Name"},
		{"blank name", apikey.CreateParams{Owner: "o", Name: " \t\u00a0"}, "Name"},
		{"long name", apikey.CreateParams{Owner: "o", Name: longName}, "Name"},
		{"huge name", apikey.CreateParams{Owner: "o", Name: strings.Repeat("n", 1<<20)}, "Name"},
		{"huge blank name", apikey.CreateParams{Owner: "o", Name: strings.Repeat(" ", 1<<20)}, "Name"},
		{"control in name", apikey.CreateParams{Owner: "o", Name: "a\nb"}, "Name"},
		{"reordering in name", apikey.CreateParams{Owner: "o", Name: "a\u202eb"}, "Name"},
		{"bad UTF-8 in name", apikey.CreateParams{Owner: "o", Name: "a\xc3"}, "Name"},
		{"long creator", apikey.CreateParams{Owner: "o", Name: "n", CreatedBy: strings.Repeat("o", 256)}, "CreatedBy"},
		{"33 scopes", apikey.CreateParams{Owner: "o", Name: "n", Scopes: scopes}, "Scopes"},
		{"empty scope", apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{""}}, "Scopes"},
		{"long scope", apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{strings.Repeat("s", 65)}}, "Scopes"},
		{"space in scope", apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{"a b"}}, "Scopes"},
		{"quote in scope", apikey.CreateParams{Owner: "o", Name: "n", Scopes: []string{`a"`}}, "Scopes"},
		{"metadata", apikey.CreateParams{Owner: "o", Name: "n", Metadata: map[string]string{"k": strings.Repeat("v", 4096)}}, "Metadata"},
		{"metadata without key", apikey.CreateParams{Owner: "o", Name: "n", Metadata: map[string]string{"": "v"}}, "Metadata"},
		{"metadata of bad UTF-8", apikey.CreateParams{Owner: "o", Name: "n", Metadata: map[string]string{"k": "\xff"}}, "Metadata"},
		{"metadata with NUL", apikey.CreateParams{Owner: "o", Name: "n", Metadata: map[string]string{"k": "\x00"}}, "Metadata"},
		{"past expiry", apikey.CreateParams{Owner: "o", Name: "n", ExpiresAt: time.Now()}, "ExpiresAt"},
		{"expiry beyond dates", apikey.CreateParams{Owner: "o", Name: "n", ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "ExpiresAt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			writes := 0
			m := newManager(t, &spyStore{Store: memstore.New(), before: func(string) error { writes++; return nil }}, nil)
			_, err := m.Create(t.Context(), tt.p)
			_, regErr := m.Register(t.Context(), apikey.RegisterParams{CreateParams: tt.p, Digest: apikey.DigestOf("x"), Hint: "h"})
			if tt.field == "" {
				if err != nil || regErr != nil {
					t.Fatalf("Create: got %v, Register: got %v, want no errors", err, regErr)
				}
				return
			}
			for _, err := range []error{err, regErr} {
				var invalid *apikey.InvalidError
				if !errors.As(err, &invalid) || invalid.Field != tt.field {
					t.Errorf("got %v, want an InvalidError of %s", err, tt.field)
				}
			}
			if writes != 0 {
				t.Errorf("store calls: got %d, want 0", writes)
			}
		})
	}
}

func TestRegisterChecksDigestAndHint(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	good := apikey.CreateParams{Owner: "o", Name: "n"}
	for _, tt := range []struct {
		name  string
		p     apikey.RegisterParams
		field string
	}{
		{"zero digest", apikey.RegisterParams{CreateParams: good, Hint: "h"}, "Digest"},
		{"no hint", apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("t")}, "Hint"},
		{"long hint", apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("t"), Hint: strings.Repeat("h", 26)}, "Hint"},
		{"hint with space", apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("t"), Hint: "h h"}, "Hint"},
		{"wide hint", apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("t"), Hint: "hé"}, "Hint"},
		{"hint is the token", apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("token"), Hint: "token"}, "Hint"},
	} {
		var invalid *apikey.InvalidError
		if _, err := m.Register(t.Context(), tt.p); !errors.As(err, &invalid) || invalid.Field != tt.field {
			t.Errorf("%s: Register = %v, want an InvalidError of %s", tt.name, err, tt.field)
		}
	}
	p := apikey.RegisterParams{CreateParams: good, Digest: apikey.DigestOf("token"), Hint: "tok"}
	if _, err := m.Register(t.Context(), p); err != nil {
		t.Fatalf("Register: %v", err)
	}
	p.Owner = "another"
	if _, err := m.Register(t.Context(), p); !errors.Is(err, apikey.ErrDuplicate) {
		t.Errorf("Register of a taken digest: got %v, want ErrDuplicate", err)
	}
}

func TestLifeOfAKey(t *testing.T) {
	ctx := t.Context()
	m := newManager(t, memstore.New(), &apikey.Options{Prefix: "acme_live"})
	issued, err := m.Create(ctx, apikey.CreateParams{
		Owner: "user_1", Name: "  ci ", CreatedBy: "admin", Scopes: []string{"a", "b", "a"},
		Metadata: map[string]string{"team": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	token := issued.Secret.Reveal()
	k := issued.Key
	if k.Name != "ci" || k.Owner != "user_1" || k.CreatedBy != "admin" || len(k.Scopes) != 2 || k.Metadata["team"] != "x" {
		t.Errorf("created key: got %+v", k)
	}
	if k.Hint != token[:len("acme_live_")+4] {
		t.Errorf("hint: got %q of %q, want the prefix and four characters", k.Hint, token)
	}
	if ok, _ := regexp.MatchString("^"+m.Pattern()+"$", token); !ok {
		t.Errorf("token %q does not match the published pattern %s", token, m.Pattern())
	}
	p := wantValid(t, m, issued)
	if !p.Allows("a") || p.Allows("c") {
		t.Error("the Principal allows other scopes than the key has")
	}

	name, yes, no := "renamed", true, false
	if k, err = m.Update(ctx, "user_1", k.ID, apikey.UpdateParams{Name: &name, Scopes: []string{}}); err != nil || k.Name != name || len(k.Scopes) != 0 || k.Metadata["team"] != "x" {
		t.Errorf("Update = %+v, %v", k, err)
	}
	if p = wantValid(t, m, issued); p.Allows("a") || p.Key().Name != name {
		t.Errorf("after Update, Validate returns %+v", p.Key())
	}
	if k, err = m.Update(ctx, "user_1", k.ID, apikey.UpdateParams{Disabled: &yes}); err != nil || k.Status(time.Now()) != apikey.StatusDisabled {
		t.Errorf("disable = %v, %v", k.Status(time.Now()), err)
	}
	wantRefused(t, m, issued, apikey.ErrDisabled)
	if k, err = m.Update(ctx, "user_1", k.ID, apikey.UpdateParams{Disabled: &no}); err != nil || k.Status(time.Now()) != apikey.StatusActive {
		t.Errorf("enable = %v, %v", k.Status(time.Now()), err)
	}
	wantValid(t, m, issued)

	next, err := m.Rotate(ctx, "user_1", k.ID, time.Hour)
	if err != nil || next.Key.Name != name || next.Key.ID == k.ID || next.Secret.Reveal() == token {
		t.Fatalf("Rotate = %+v, %v", next.Key, err)
	}
	wantValid(t, m, issued)
	wantValid(t, m, next)
	old, err := m.Get(ctx, "user_1", k.ID)
	if err != nil || old.ReplacedBy != next.Key.ID || time.Until(old.ExpiresAt) > time.Hour {
		t.Errorf("rotated key = %+v, %v", old, err)
	}
	if _, err := m.Rotate(ctx, "user_1", k.ID, 0); !errors.Is(err, apikey.ErrConflict) {
		t.Errorf("second Rotate: got %v, want ErrConflict", err)
	}
	last, err := m.Rotate(ctx, "user_1", next.Key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m, next, apikey.ErrRevoked)
	wantValid(t, m, last)

	k, err = m.Revoke(ctx, "user_1", last.Key.ID, "leaked")
	if err != nil || k.RevokeReason != "leaked" || k.Status(time.Now()) != apikey.StatusRevoked {
		t.Errorf("Revoke = %+v, %v", k, err)
	}
	wantRefused(t, m, last, apikey.ErrRevoked)
	again, err := m.Revoke(ctx, "user_1", last.Key.ID, "again")
	if err != nil || again.RevokeReason != "leaked" || !again.RevokedAt.Equal(k.RevokedAt) {
		t.Errorf("second Revoke: got %+v, %v, want the time and reason of the first one", again, err)
	}
	if _, err := m.Update(ctx, "user_1", k.ID, apikey.UpdateParams{Disabled: &no}); !errors.Is(err, apikey.ErrConflict) {
		t.Errorf("Update of a revoked key: got %v, want ErrConflict", err)
	}
	if n, err := m.RevokeAll(ctx, "user_1", "account closed"); n != 1 || err != nil {
		t.Errorf("RevokeAll = %d, %v, want 1, the key in its grace period", n, err)
	}
	wantRefused(t, m, issued, apikey.ErrRevoked)

	page, err := m.List(ctx, apikey.ListParams{Owner: "user_1", Limit: 2})
	if err != nil || len(page.Keys) != 2 || page.Next == "" {
		t.Fatalf("List = %+v, %v", page, err)
	}
	rest, err := m.List(ctx, apikey.ListParams{Owner: "user_1", Limit: 2, Cursor: page.Next})
	if err != nil || len(rest.Keys) != 1 || rest.Next != "" || rest.Keys[0].ID != issued.Key.ID {
		t.Errorf("second page: got %+v, %v, want only the oldest key", rest, err)
	}
	if _, err := m.List(ctx, apikey.ListParams{Owner: "user_1", Cursor: page.Next[:4] + "\n" + page.Next[4:]}); err == nil {
		t.Error("a cursor with a line break was accepted, want only one spelling")
	}
}

func TestBadCursors(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	for _, cursor := range []string{"x", "!!!!", "AAAAAAAAAAA", strings.Repeat("A", 1<<20), "AAAAAAAAAAAAJw", "f_____________9rZXk", "gAAAAAAAAABrZXk"} {
		var invalid *apikey.InvalidError
		if _, err := m.List(t.Context(), apikey.ListParams{Owner: "o", Cursor: cursor}); !errors.As(err, &invalid) || invalid.Field != "Cursor" {
			t.Errorf("List with cursor %.20q: got %v, want an InvalidError of Cursor", cursor, err)
		}
	}
}

// The store is not called with an invalid ID.
func TestImpossibleIDs(t *testing.T) {
	st := &spyStore{Store: memstore.New(), before: func(op string) error {
		t.Errorf("the store was called: %s", op)
		return nil
	}}
	m := newManager(t, st, nil)
	for _, id := range []string{"", strings.Repeat("x", 65), "key x", "key-x", "kéy", "key\x00", "../key"} {
		_, get := m.Get(t.Context(), "o", id)
		_, revoke := m.Revoke(t.Context(), "o", id, "")
		_, rotate := m.Rotate(t.Context(), "o", id, 0)
		for call, err := range map[string]error{"Get": get, "Revoke": revoke, "Rotate": rotate} {
			if !errors.Is(err, apikey.ErrNotFound) {
				t.Errorf("%s of the ID %.10q: got %v, want ErrNotFound", call, id, err)
			}
		}
	}
}

// Invariant 12, M-01: every call returns ErrNotFound for another owner's key.
func TestOtherOwnersKey(t *testing.T) {
	ctx := t.Context()
	var events recorder
	m := newManager(t, memstore.New(), &apikey.Options{OnEvent: events.record})
	issued := create(t, m, "owner")
	events.take()
	id, name := issued.Key.ID, "stolen"
	calls := map[string]func(owner string) error{
		"Get":    func(o string) error { _, err := m.Get(ctx, o, id); return err },
		"Update": func(o string) error { _, err := m.Update(ctx, o, id, apikey.UpdateParams{Name: &name}); return err },
		"Rotate": func(o string) error { _, err := m.Rotate(ctx, o, id, 0); return err },
		"Revoke": func(o string) error { _, err := m.Revoke(ctx, o, id, ""); return err },
	}
	for call, f := range calls {
		err := f("thief")
		if !errors.Is(err, apikey.ErrNotFound) || err.Error() != apikey.ErrNotFound.Error() {
			t.Errorf("%s of another owner's key: got %v, want ErrNotFound alone", call, err)
		}
		if got := events.take(); len(got) != 1 || got[0].Kind != apikey.EventOwnerMismatch || got[0].Owner != "thief" || got[0].KeyID != id {
			t.Errorf("%s of another owner's key: got the events %+v, want one EventOwnerMismatch", call, got)
		}
		var invalid *apikey.InvalidError
		if err := f(""); !errors.As(err, &invalid) {
			t.Errorf("%s without an owner: got %v, want an InvalidError", call, err)
		}
	}
	if n, err := m.RevokeAll(ctx, "thief", ""); n != 0 || err != nil {
		t.Errorf("RevokeAll of another owner = %d, %v", n, err)
	}
	if page, err := m.List(ctx, apikey.ListParams{Owner: "thief"}); len(page.Keys) != 0 || err != nil {
		t.Errorf("List of another owner = %+v, %v", page, err)
	}
	for _, bad := range []string{"", "key_\x00", strings.Repeat("k", 65), "key_é"} {
		if _, err := m.Get(ctx, "owner", bad); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("Get of ID %q: got %v, want ErrNotFound", bad, err)
		}
	}
	if k := wantValid(t, m, issued).Key(); k.Name != "test" {
		t.Errorf("another owner's call changed the key: got %+v", k)
	}
}

// M-13: each change and refusal emits one event, without a secret.
func TestEvents(t *testing.T) {
	ctx := t.Context()
	var events recorder
	var log strings.Builder
	m := newManager(t, memstore.New(), &apikey.Options{
		OnEvent: events.record, MaxKeysPerOwner: 3,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	want := func(what string, kinds ...apikey.EventKind) []apikey.Event {
		t.Helper()
		got := events.take()
		if len(got) != len(kinds) {
			t.Fatalf("%s: got the events %+v, want %v", what, got, kinds)
		}
		for i, e := range got {
			if e.Kind != kinds[i] || e.Time.IsZero() || e.Time.Location() != time.UTC {
				t.Errorf("%s: got the event %+v, want kind %s and a time in UTC", what, e, kinds[i])
			}
		}
		return got
	}
	a := create(t, m, "o")
	if e := want("Create", apikey.EventCreated); e[0].KeyID != a.Key.ID || e[0].Owner != "o" {
		t.Errorf("Create: %+v", e)
	}
	_, _ = m.Register(ctx, apikey.RegisterParams{CreateParams: apikey.CreateParams{Owner: "o", Name: "n"}, Digest: apikey.DigestOf("d"), Hint: "h"})
	want("Register", apikey.EventRegistered)
	create(t, m, "o")
	want("Create", apikey.EventCreated)
	_, err := m.Create(ctx, apikey.CreateParams{Owner: "o", Name: "n"})
	if !errors.Is(err, apikey.ErrLimitReached) {
		t.Errorf("fourth Create with a limit of 3: got %v, want ErrLimitReached", err)
	}
	want("Create at the limit", apikey.EventLimitReached)
	wantValid(t, m, a)
	want("Validate")
	yes, no := true, false
	_, _ = m.Update(ctx, "o", a.Key.ID, apikey.UpdateParams{Disabled: &yes})
	want("Update", apikey.EventUpdated)
	wantRefused(t, m, a, apikey.ErrDisabled)
	if e := want("Validate of a disabled key", apikey.EventRefused); e[0].Reason != apikey.ReasonDisabled || e[0].KeyID != a.Key.ID {
		t.Errorf("refused: %+v", e)
	}
	_, _ = m.Update(ctx, "o", a.Key.ID, apikey.UpdateParams{Disabled: &no})
	want("Update", apikey.EventUpdated)
	b, _ := m.Rotate(ctx, "o", a.Key.ID, 0)
	if e := want("Rotate", apikey.EventRotated); e[0].KeyID != a.Key.ID || e[0].NewKeyID != b.Key.ID {
		t.Errorf("Rotate: %+v", e)
	}
	wantRefused(t, m, a, apikey.ErrRevoked)
	if e := want("a revoked key presented", apikey.EventRevokedKeyUsed); e[0].KeyID != a.Key.ID || e[0].Reason != apikey.ReasonRevoked {
		t.Errorf("reused: %+v", e)
	}
	var all sync.WaitGroup
	for range 100 { // M-11
		all.Go(func() { _, _ = m.Revoke(ctx, "o", b.Key.ID, "leaked") })
	}
	all.Wait()
	want("100 parallel Revokes", apikey.EventRevoked)
	if n, err := m.RevokeAll(ctx, "o", ""); n != 2 || err != nil {
		t.Errorf("RevokeAll = %d, %v, want 2", n, err)
	}
	want("RevokeAll", apikey.EventRevoked, apikey.EventRevoked)
	_, _ = m.Validate(ctx, "garbage")
	if e := want("garbage", apikey.EventRefused); e[0].Reason != apikey.ReasonMalformed || e[0].KeyID != "" {
		t.Errorf("garbage: %+v", e)
	}
	for _, secret := range []string{a.Secret.Reveal(), b.Secret.Reveal()} {
		if strings.Contains(log.String(), secret[len(secret)-20:]) {
			t.Error("the log contains a token")
		}
	}
	for _, word := range []string{"created", "registered", "limit_reached", "updated", "rotated", "revoked_key_used", "revoked", "refused"} {
		if !strings.Contains(log.String(), "apikey: "+word) {
			t.Errorf("the log does not contain %q", word)
		}
	}
}

func TestPrincipalIsNotEscalatedByAHandler(t *testing.T) {
	m := newManager(t, memstore.New(), nil)
	issued := create(t, m, "o")
	p := wantValid(t, m, issued)
	key := p.Key()
	key.Owner, key.Scopes[0] = "thief", "admin"
	if p = wantValid(t, m, issued); p.Allows("admin") || !p.Allows("reports:read") {
		t.Error("a handler that wrote to its copy of the key changed the key's scopes")
	}
	if key := p.Key(); p.Owner() != "o" || key.Owner != "o" || key.Scopes[0] != "reports:read" {
		t.Errorf("a handler that wrote to its copy changed other copies: %+v", key)
	}
	var zero apikey.Principal
	if zero.Allows("x") || (*apikey.Principal)(nil).Allows("x") {
		t.Error("a zero Principal allows a scope") // H-16
	}
}

// Every validation checks the expiry, even of a cached key.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, memstore.New(), nil)
		issued, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n", ExpiresAt: time.Now().Add(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		wantValid(t, m, issued)
		time.Sleep(time.Until(issued.Key.ExpiresAt) - time.Microsecond)
		wantValid(t, m, issued)
		time.Sleep(time.Microsecond)
		wantRefused(t, m, issued, apikey.ErrExpired)
		later := time.Now().Add(time.Hour)
		if _, err := m.Update(t.Context(), "o", issued.Key.ID, apikey.UpdateParams{ExpiresAt: &later}); !errors.Is(err, apikey.ErrConflict) {
			t.Errorf("Update of the expiry of an expired key: got %v, want ErrConflict", err)
		}
		// Expired keys do not count against the limit.
		for range 5 {
			create(t, m, "o")
		}
	})
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name      string
		max, plan int
		want      int
	}{
		{"default", 0, 0, 5},
		{"option", 2, 0, 2},
		{"plan over option", 2, 7, 7},
		{"plan below option", 7, 1, 1},
		{"no limit", -1, 0, 50},
		{"no limit by plan", 1, -1, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newManager(t, memstore.New(), &apikey.Options{
				MaxKeysPerOwner: tt.max,
				Entitlements: entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) {
					return entitlement.Entitlement{APIAccess: true, MaxKeys: tt.plan}, nil
				}),
			})
			n := 0
			for range 50 {
				if _, err := m.Create(t.Context(), apikey.CreateParams{Owner: "o", Name: "n"}); err == nil {
					n++
				} else if !errors.Is(err, apikey.ErrLimitReached) {
					t.Fatal(err)
				}
			}
			if n != tt.want {
				t.Errorf("created keys: got %d, want %d", n, tt.want)
			}
		})
	}
}
