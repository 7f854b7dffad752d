package remotestore_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

var secret = []byte("a secret of the tests, with \xfb\xff, which no header can hold")

// begin is when the records of the tests are made.
var begin = time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.UTC)

func newHandler(t testing.TB, st store.Store, o *remotestore.HandlerOptions) http.Handler {
	t.Helper()
	h, err := remotestore.Handler(st, secret, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// newStore returns a Store with a timeout that no slow machine reaches, unless o
// sets one.
func newStore(t testing.TB, url string, o *remotestore.Options) *remotestore.Store {
	t.Helper()
	opts := remotestore.Options{}
	if o != nil {
		opts = *o
	}
	if opts.Timeout == 0 {
		opts.Timeout = time.Minute
	}
	s, err := remotestore.New(url, secret, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// serve starts a server on the loopback interface and returns its URL.
func serve(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		return newStore(t, serve(t, newHandler(t, memstore.New(), nil)), nil)
	})
}

// A Store works with the host's own certificates, HTTP/2 and a path in the URL.
func TestStoreOverTLS(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		h := newHandler(t, memstore.New(), nil)
		mux := http.NewServeMux()
		mux.Handle("/keys/", http.StripPrefix("/keys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("got a request over %s, want HTTP/2", r.Proto)
			}
			h.ServeHTTP(w, r)
		})))
		server := httptest.NewUnstartedServer(mux)
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that end with the test
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		return newStore(t, server.URL+"/keys/", &remotestore.Options{TLS: &tls.Config{RootCAs: roots}})
	})
}

// fresh returns a record with every field that a new record can have.
func fresh(owner, id string) store.Record {
	return store.Record{
		ID: id, Owner: owner, Name: "name of " + id, Hint: "key_ab12", CreatedBy: "admin of " + owner,
		Digest: digest(id), Scopes: []string{"reports:read", "reports:*"},
		Metadata: map[string]string{"env": "production", "team": "日本"}, CreatedAt: begin,
		ExpiresAt: begin.Add(240 * time.Hour), LastUsedAt: begin.Add(time.Second),
	}
}

func digest(id string) store.Digest { return sha256.Sum256([]byte(id)) }

func next(id string) store.Record {
	return store.Record{ID: id, Digest: digest(id), Hint: "key_" + id, CreatedAt: begin.Add(time.Minute)}
}

func insert(t testing.TB, s store.Store, rs ...store.Record) {
	t.Helper()
	for _, r := range rs {
		if err := s.Insert(context.Background(), r, -1); err != nil {
			t.Fatal(err)
		}
	}
}

// populated returns a store with the records a and b of owner o. a is newer.
func populated(t testing.TB) *memstore.Store {
	t.Helper()
	st := memstore.New()
	a, b := fresh("o", "a"), fresh("o", "b")
	a.CreatedAt = begin.Add(time.Second)
	insert(t, st, a, b)
	return st
}

// A verb is a call that succeeds on a populated store. got is what it returns
// along with the error.
type verb struct {
	name     string
	call     func(context.Context, store.Store) (got []store.Record, err error)
	writes   bool
	sentinel []error // errors that the call may return, besides ErrBusy
}

var renamed, later = "renamed", begin.Add(48 * time.Hour)

var verbs = []verb{
	{"insert", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		return nil, s.Insert(ctx, fresh("o", "c"), 5)
	}, true, []error{store.ErrDuplicate, store.ErrConflict, store.ErrLimit}},
	{"lookup", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		r, err := s.Lookup(ctx, digest("a"))
		return []store.Record{r}, err
	}, false, []error{store.ErrNotFound}},
	{"get", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		r, err := s.Get(ctx, "o", "a")
		return []store.Record{r}, err
	}, false, []error{store.ErrNotFound, store.ErrOwnerMismatch}},
	{"list", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		page, err := s.List(ctx, store.Query{Owner: "o", Limit: 2, After: store.Cursor{CreatedAt: begin.Add(time.Hour), ID: "z"}})
		if !page.Next.IsZero() && err != nil {
			page.Records = append(page.Records, store.Record{ID: "a next with an error"})
		}
		return page.Records, err
	}, false, nil},
	{"count", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		n, err := s.Count(ctx, "o", begin)
		if n != 0 && err != nil {
			return []store.Record{{ID: "a count with an error"}}, err
		}
		return nil, err
	}, false, nil},
	{"update", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		r, err := s.Update(ctx, "o", "a", store.Change{
			At: begin, Name: &renamed, Scopes: []string{"x"}, Metadata: map[string]string{"x": "y"}, ExpiresAt: &later, DisabledAt: &begin,
		})
		return []store.Record{r}, err
	}, true, []error{store.ErrNotFound, store.ErrOwnerMismatch, store.ErrConflict}},
	{"revoke", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		r, changed, err := s.Revoke(ctx, "o", "a", begin, "leaked")
		if changed && err != nil {
			r.ID = "a change with an error"
		}
		return []store.Record{r}, err
	}, true, []error{store.ErrNotFound, store.ErrOwnerMismatch}},
	{"revoke_all", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		return s.RevokeAll(ctx, "o", begin, "closed")
	}, true, nil},
	{"rotate", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		old, now, err := s.Rotate(ctx, "o", "a", next("n"), begin.Add(time.Hour), -1)
		return []store.Record{old, now}, err
	}, true, []error{store.ErrNotFound, store.ErrOwnerMismatch, store.ErrConflict, store.ErrDuplicate}},
	{"touch", func(ctx context.Context, s store.Store) ([]store.Record, error) {
		return nil, s.Touch(ctx, []store.Use{{Digest: digest("a"), At: begin.Add(time.Minute)}})
	}, true, nil},
}

var sentinels = []error{store.ErrNotFound, store.ErrOwnerMismatch, store.ErrDuplicate, store.ErrLimit, store.ErrConflict, store.ErrBusy}

func isSentinel(err error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// outage fails unless err counts as an outage and got has no data.
func outage(t *testing.T, got []store.Record, err error) {
	t.Helper()
	if err == nil || isSentinel(err) {
		t.Errorf("got %v, want an error that is none of the sentinels", err)
	}
	for _, r := range got {
		if r.ID != "" || r.Owner != "" || !r.Digest.IsZero() {
			t.Errorf("got %+v with the error, want nothing", r)
		}
	}
}
