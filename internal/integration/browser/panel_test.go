package browser_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// A panel serves the page and the API for a signed-in owner.
type panel struct {
	keys    *apikey.Manager
	handler http.Handler
	url     string // of the page
	down    atomic.Bool

	mu      sync.Mutex
	owner   string // empty if signed out
	plan    entitlement.Entitlement
	planErr error

	// front, if it is set, may respond instead of the panel.
	front func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

const owner = "ann"

// pro is the owners' initial plan.
var pro = entitlement.Entitlement{Plan: "pro", APIAccess: true, MaxKeys: 5, Scopes: []string{"reports:read", "reports:write"}}

var offer = []selfservice.Scope{
	{Name: "reports:read", Description: "Read reports"},
	{Name: "reports:write", Description: "Make and change reports"},
	{Name: "billing:read", Description: "See invoices"},
}

func newPanel(t testing.TB, k *apikey.Options, o *selfservice.Options) *panel {
	t.Helper()
	p := &panel{owner: owner, plan: pro}
	if k == nil {
		k = &apikey.Options{Prefix: "acme"}
	}
	k.Entitlements = p
	k.CacheTTL, k.NegativeTTL = time.Millisecond, time.Millisecond // changes of plans take effect at once
	keys, err := apikey.New(&brittle{memstore.New(), &p.down}, k)
	if err != nil {
		t.Fatal(err)
	}
	if o == nil {
		o = &selfservice.Options{Scopes: offer}
	}
	h := selfservice.New(keys, p.session, o)
	mux := http.NewServeMux()
	mux.Handle("/settings/api-keys/", h)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Cache-Control", "max-age=3600")
		io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg"/>`)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front := p.front; front != nil {
			front(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		p.down.Store(false)
		if err := keys.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	p.keys, p.handler, p.url = keys, h, server.URL+"/settings/api-keys/"
	return p
}

func (p *panel) session(*http.Request) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owner, nil
}

// Entitlement implements [entitlement.Provider].
func (p *panel) Entitlement(context.Context, string) (entitlement.Entitlement, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan, p.planErr
}

// set changes the owner's plan.
func (p *panel) set(t testing.TB, plan entitlement.Entitlement, err error) {
	t.Helper()
	p.mu.Lock()
	p.plan, p.planErr = plan, err
	p.mu.Unlock()
	if err := p.keys.InvalidateOwner(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
}

func (p *panel) create(t testing.TB, params apikey.CreateParams) apikey.Issued {
	t.Helper()
	params.Owner = owner
	issued, err := p.keys.Create(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// list returns the owner's keys, the newest first.
func (p *panel) list(t testing.TB) []apikey.Key {
	t.Helper()
	page, err := p.keys.List(t.Context(), apikey.ListParams{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return page.Keys
}

// open opens the page in a new tab.
func (p *panel) open(t testing.TB, d device) *tab {
	t.Helper()
	tab := newTab(t, d)
	if status := tab.open(t, p.url); status != http.StatusOK {
		t.Fatalf("got status %d%s", status, tab.state())
	}
	return tab
}

// fine fails the test if the page has an error in the console, a violation of its
// policy, or a fault of accessibility.
func (tab *tab) fine(t testing.TB) {
	t.Helper()
	tab.rest(t)
	for _, v := range audit(t, tab) {
		t.Errorf("axe: %v", v)
	}
	tab.clean(t)
}

// rest waits until no list is being reloaded and no animation is running.
func (tab *tab) rest(t testing.TB) {
	t.Helper()
	tab.until(t, "rest", func() string {
		if moving, err := try[bool](tab, `() => !!document.querySelector('[aria-busy=true], [data-busy]') || document.getAnimations().length > 0`); err != nil || moving {
			return "a list is being reloaded or an animation is running"
		}
		return ""
	})
}

// said waits until the element has a text.
func (tab *tab) said(t testing.TB, selector string) {
	t.Helper()
	tab.until(t, selector, func() string {
		if tab.count(t, selector) == 0 || tab.text(t, selector) == "" {
			return "the element has no text"
		}
		return ""
	})
}

// A brittle store fails on demand.
type brittle struct {
	*memstore.Store
	down *atomic.Bool
}

func (s *brittle) fail() error {
	if s.down.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

func (s *brittle) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.fail(); err != nil {
		return store.Page{}, err
	}
	return s.Store.List(ctx, q)
}

func (s *brittle) Revoke(ctx context.Context, owner, id string, at time.Time, reason string) (store.Record, bool, error) {
	if err := s.fail(); err != nil {
		return store.Record{}, false, err
	}
	return s.Store.Revoke(ctx, owner, id, at, reason)
}
