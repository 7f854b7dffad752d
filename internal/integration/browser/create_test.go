package browser_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
)

// token returns the token that the page shows.
func (tab *tab) token(t testing.TB) string {
	t.Helper()
	tab.wait(t, "#issued")
	return tab.text(t, "#token")
}

// M-06: the token is generated in the browser and shown once. After the token was copied, it is
// nowhere in the browser.
func TestCreateInTheBrowser(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	clipboard := newClipboard(t)
	tab := p.open(t, desktop)
	tab.fine(t)
	tab.screenshot(t, "empty")
	tab.click(t, `#keys button "Create key"`)
	tab.wait(t, "dialog#create")
	tab.fine(t)
	tab.screenshot(t, "dialog")
	tab.typeIn(t, "#create-name", "laptop")
	tab.click(t, `input[value="reports:read"]`)
	if n := tab.count(t, "#scopes input"); n != 2 {
		t.Errorf("offered scopes: got %d, want the plan's 2", n)
	}
	tab.click(t, `dialog#create button "Create key"`)
	token := tab.token(t)
	tab.fine(t)
	tab.screenshot(t, "token")
	principal, err := p.keys.Validate(t.Context(), token)
	if err != nil || principal.Key().Name != "laptop" || !principal.Allows("reports:read") || principal.Allows("reports:write") {
		t.Fatalf("Validate of the new token: got %+v, %v", principal, err)
	}
	if keys := p.list(t); len(keys) != 1 || !strings.HasPrefix(token, keys[0].Hint) || !keys[0].ExpiresAt.IsZero() {
		t.Errorf("got %+v", keys)
	}

	// The page asks before the token is lost.
	tab.click(t, `#issued button "Done"`)
	tab.wait(t, "dialog#leave")
	tab.fine(t)
	tab.press(t, kb.Escape)
	tab.gone(t, "dialog#leave")
	tab.answer(false, "")
	eval[any](t, tab, `() => { location.href = '/favicon.ico' }`)
	if asked := tab.asked(t); len(asked) != 1 || asked[0].kind != "beforeunload" {
		t.Errorf("leaving: got %v, want a question", asked)
	}
	if tab.token(t) != token {
		t.Error("the token is gone, although the page was not left")
	}

	tab.click(t, `#issued button "Copy"`)
	tab.wait(t, `#copied "Copied."`)
	if got := clipboard.text(t); got != token {
		t.Errorf("copied text: got %q, want the token", got)
	}
	tab.click(t, `#issued button "Done"`)
	tab.gone(t, "#issued")
	tab.wait(t, `tr[data-id] .name "laptop"`)
	if html := eval[string](t, tab, `() => document.documentElement.outerHTML`); strings.Contains(html, token) {
		t.Error("the token is still in the page")
	}
	tab.reload(t)
	if n := len(tab.asked(t)); n != 1 {
		t.Error("the page asked again, although it no longer shows a token")
	}
	if html := eval[string](t, tab, `() => document.documentElement.outerHTML`); strings.Contains(html, token) {
		t.Error("the page shows the token again")
	}
	if places := tab.traces(t, token[len("acme_"):]); len(places) > 0 {
		t.Errorf("places with the token: got %q, want none", places)
	}
	if s := tab.stored(t); !s.empty() {
		t.Errorf("data stored by the browser: got %v, want none", s)
	}
	tab.fine(t)
	tab.screenshot(t, "listed")
}

// The service accepts the tokens that the page generates.
func TestTokensOfTheBrowser(t *testing.T) {
	t.Parallel()
	p := newPanel(t, &apikey.Options{Prefix: "acme_live", MaxKeysPerOwner: -1}, nil)
	plan := pro
	plan.MaxKeys = -1
	p.set(t, plan, nil)
	tab := p.open(t, desktop)
	seen := map[string]bool{}
	for range 4 { // an owner can create ten a minute
		tab.click(t, `button[data-do=create]`)
		tab.typeIn(t, "#create-name", "x")
		tab.press(t, kb.Enter)
		token := tab.token(t)
		if _, err := p.keys.Validate(t.Context(), token); err != nil || seen[token] {
			t.Errorf("%q: got %v, seen %v", token, err, seen[token])
		}
		seen[token] = true
		tab.click(t, `#issued button "Done"`)
		tab.click(t, `dialog#leave button[type=submit]`)
		tab.gone(t, "#issued")
	}
	tab.clean(t)
}

// If tokens have a MAC, the service generates them, and they are only in the response.
func TestCreateOnTheServer(t *testing.T) {
	t.Parallel()
	p := newPanel(t, &apikey.Options{Prefix: "acme", MACKeys: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}}, nil)
	tab := p.open(t, phone)
	tab.click(t, `button[data-do=create]`)
	tab.typeIn(t, "#create-name", "phone")
	eval[any](t, tab, `() => { const s = document.querySelector('#create-expiry'); s.value = '30'; s.dispatchEvent(new Event('change')) }`)
	tab.screenshot(t, "dialog")
	tab.click(t, `dialog#create button "Create key"`)
	token := tab.token(t)
	tab.fine(t)
	tab.screenshot(t, "token")
	principal, err := p.keys.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(principal.Key().ExpiresAt); left < 29*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("time until the key expires: got %v, want 30 days", left)
	}
	if places := tab.traces(t, token[len("acme_"):]); len(places) > 0 {
		t.Errorf("places with the token: got %q, want none", places)
	}
}

// If the response is lost, the page repeats the request, and one key is created.
func TestCreateAgainAfterLostResponse(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]*apikey.Options{
		"made in the browser": {Prefix: "acme"},
		"made by the service": {Prefix: "acme", MACKeys: [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPanel(t, k, nil)
			var lose atomic.Bool
			lose.Store(true)
			p.front = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/api/keys") || !lose.Load() {
					next.ServeHTTP(w, r)
					return
				}
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				next.ServeHTTP(&discarded{}, r)
				panic(http.ErrAbortHandler)
			}
			tab := p.open(t, desktop)
			tab.click(t, `button[data-do=create]`)
			tab.typeIn(t, "#create-name", "ci")
			tab.press(t, kb.Enter)
			tab.said(t, "#create-error")
			tab.screenshot(t, "lost")
			lose.Store(false)
			tab.click(t, `dialog#create button[type=submit]`)
			if k.MACKeys != nil {
				tab.wait(t, "dialog#lost")
				tab.rest(t)
				for _, v := range audit(t, tab) {
					t.Errorf("axe: %v", v)
				}
				tab.screenshot(t, "explained")
				tab.click(t, `dialog#lost button[type=submit]`)
			}
			token := tab.token(t)
			if _, err := p.keys.Validate(t.Context(), token); err != nil {
				t.Errorf("the token: %v", err)
			}
			current := 0
			for _, key := range p.list(t) {
				if key.Status(time.Now()) == apikey.StatusActive {
					current++
				}
			}
			if current != 1 {
				t.Errorf("active keys: got %d, want 1", current)
			}
			tab.expect(t, "api/keys") // the browser reports the lost response
		})
	}
}

// A discarded response is never sent.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(int)             {}

// A key can be created without a mouse.
func TestCreateByKeyboard(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, &selfservice.Options{BackURL: "/settings/"})
	tab := p.open(t, desktop)
	tab.press(t, kb.Tab)
	if got := tab.focused(t); !strings.Contains(got, "Back") {
		t.Errorf("first: got %s, want the link back", got)
	}
	for range 10 {
		if strings.Contains(tab.focused(t), "Create key") {
			break
		}
		tab.press(t, kb.Tab)
	}
	tab.press(t, kb.Enter)
	tab.wait(t, "dialog#create")
	if got := tab.focused(t); !strings.Contains(got, "#create-name") {
		t.Errorf("in the dialog: got %s, want the name", got)
	}
	tab.press(t, "keyboard")
	tab.press(t, kb.Enter)
	token := tab.token(t)
	if got := tab.focused(t); !strings.Contains(got, "#issued-title") {
		t.Errorf("after it: got %s, want the new key's title", got)
	}
	if _, err := p.keys.Validate(t.Context(), token); err != nil {
		t.Error(err)
	}
	tab.clean(t)
}
