package browser_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// Each state of the page, on each device, in light and dark, has no findings and tells the user
// what to do.
func TestStates(t *testing.T) {
	t.Parallel()
	free := entitlement.Entitlement{Plan: "free"}
	lapsed := pro
	lapsed.ValidUntil = time.Now().Add(-time.Hour)
	small := pro
	small.MaxKeys = 2
	some := func(t *testing.T, p *panel) {
		first := p.create(t, apikey.CreateParams{Name: "production server", Scopes: []string{"reports:read", "reports:write"}})
		soon := time.Now().Add(50 * time.Hour)
		p.create(t, apikey.CreateParams{Name: "CI", Scopes: []string{"reports:read"}, ExpiresAt: soon, CreatedBy: "bea@example.com"})
		off := p.create(t, apikey.CreateParams{Name: "staging, for the tests of a colleague who has left"})
		old := p.create(t, apikey.CreateParams{Name: "laptop"})
		yes := true
		if _, err := p.keys.Update(t.Context(), owner, off.Key.ID, apikey.UpdateParams{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.keys.Revoke(t.Context(), owner, old.Key.ID, "laptop was stolen"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.keys.Validate(t.Context(), first.Secret.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		do     func(t *testing.T, p *panel)
		status int
		says   string
		leads  string // the target of the link that helps
		phone  bool   // also checked on a phone in the short run
	}{
		{"some", some, 200, "Keys: 3 of 5", "", true},
		{"empty", func(*testing.T, *panel) {}, 200, "No keys yet", "", false},
		{"limit", func(t *testing.T, p *panel) { some(t, p); plan := pro; plan.MaxKeys = 3; p.set(t, plan, nil) }, 200, "all the keys that your plan includes", "/plans", true},
		{"excess", func(t *testing.T, p *panel) { some(t, p); p.set(t, small, nil) }, 200, "more keys than your plan includes", "/plans", false},
		{"no access", func(t *testing.T, p *panel) { some(t, p); p.set(t, free, nil) }, 200, "does not include the API", "/plans", false},
		{"lapsed", func(t *testing.T, p *panel) { some(t, p); p.set(t, lapsed, nil) }, 200, "Your plan has ended", "/plans", false},
		{"no plan known", func(t *testing.T, p *panel) { some(t, p); p.set(t, pro, errors.New("billing is down")) }, 200, "cannot look up your plan", "", false},
		{"unavailable", func(t *testing.T, p *panel) { p.down.Store(true) }, 503, "cannot be shown just now", "./", true},
		{"signed out", func(t *testing.T, p *panel) { p.owner = "" }, 401, "signed out", "/sign-in", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPanel(t, nil, &selfservice.Options{Scopes: offer, UpgradeURL: "/plans", SignInURL: "/sign-in", BackURL: "/settings/"})
			c.do(t, p)
			for name, d := range map[string]device{"desktop": desktop, "phone": phone} {
				tab := newTab(t, d)
				for _, scheme := range []string{"light", "dark"} {
					if !testkit.Soak() && (d.touch != (scheme == "dark") || d.touch && !c.phone) {
						continue
					}
					tab.prefer(t, "color-scheme", scheme)
					if status := tab.open(t, p.url); status != c.status {
						t.Errorf("got status %d, want %d", status, c.status)
					}
					if text := tab.text(t, "body"); !strings.Contains(text, c.says) {
						t.Errorf("the page does not contain %q: %s", c.says, text)
					}
					if c.leads != "" && tab.count(t, `a[href="`+c.leads+`"]`) != 1 {
						t.Errorf("there is no link to %s", c.leads)
					}
					if wide := eval[int](t, tab, `() => document.documentElement.scrollWidth - innerWidth`); wide > 0 {
						t.Errorf("%s: the page is %d pixels wider than the window", name, wide)
					}
					if c.status >= 400 {
						tab.expect(t, fmt.Sprint(c.status))
					}
					tab.fine(t)
					tab.screenshot(t, name+"-"+scheme)
				}
			}
		})
	}
}

// With reduced motion nothing moves.
func TestReducedMotion(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	tab := newTab(t, desktop)
	tab.prefer(t, "reduced-motion", "reduce")
	tab.open(t, p.url)
	tab.click(t, `button[data-do=create]`)
	tab.wait(t, "dialog#create")
	moving := eval[[]string](t, tab, `() => document.getAnimations().map(a => a.effect.target.outerHTML.slice(0, 80))`)
	if len(moving) > 0 {
		t.Errorf("moving: %q", moving)
	}
	tab.fine(t)
}

// The page works in another language, from right to left.
func TestTranslated(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for name, text := range selfservice.Texts() {
		texts[name] = "«" + text + "»"
	}
	p := newPanel(t, nil, &selfservice.Options{Scopes: []selfservice.Scope{{Name: "reports:read"}}, Lang: "ar", Title: "مفاتيح", Texts: texts})
	p.create(t, apikey.CreateParams{Name: "ci"})
	tab := p.open(t, phone)
	if dir := eval[string](t, tab, `() => getComputedStyle(document.body).direction`); dir != "rtl" {
		t.Errorf("got the direction %s, want rtl", dir)
	}
	left := eval[[]string](t, tab, `() => {
		const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT), left = []
		while (texts.nextNode()) {
			const e = texts.currentNode.parentElement, text = texts.currentNode.data.trim()
			if (/[a-z]{3}/.test(text) && !e.closest('time, code, bdi, [translate=no], noscript') && !/[«»]/.test(text)) left.push(text)
		}
		return left
	}`)
	if len(left) > 0 {
		t.Errorf("texts that are not translated: got %q", left)
	}
	tab.fine(t)
	tab.screenshot(t, "arabic")
}

// M-15, in the browser: a thousand keys are listed in pages, each exactly once.
func TestThousandKeys(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	plan := pro
	plan.MaxKeys = -1
	p.set(t, plan, nil)
	n := 100
	if testkit.Soak() {
		n = 1000
	}
	for i := range n {
		p.create(t, apikey.CreateParams{Name: fmt.Sprintf("key %d", i)})
	}
	tab := p.open(t, desktop)
	seen := map[string]bool{}
	pages := 0
	var slowest time.Duration
	for {
		pages++
		names := eval[[]string](t, tab, `() => [...document.querySelectorAll('#keys tr[data-id] .name')].map(e => e.textContent)`)
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s is listed twice", name)
			}
			seen[name] = true
		}
		if tab.count(t, `nav a "Older"`) == 0 {
			break
		}
		began := time.Now()
		tab.click(t, `nav a "Older"`)
		last := names[len(names)-1]
		tab.until(t, "the next page", func() string {
			next, err := try[string](tab, `() => document.readyState === 'complete' ? document.querySelector('#keys tr[data-id]:last-child .name')?.textContent : ''`)
			if err != nil || next == "" || next == last {
				return "it is not there"
			}
			return ""
		})
		slowest = max(slowest, time.Since(began))
	}
	if len(seen) != n || pages != n/50 {
		t.Errorf("got %d keys in %d pages, want %d in %d", len(seen), pages, n, n/50)
	}
	t.Logf("%d keys in %d pages, the slowest after %v", n, pages, slowest.Round(time.Millisecond))
	tab.click(t, `nav a "Newest"`)
	tab.wait(t, fmt.Sprintf(`.name "key %d"`, n-1))
	tab.fine(t)
	if status := tab.open(t, p.url+"?current=nonsense&ended=nonsense"); status != http.StatusOK {
		t.Errorf("an invalid cursor: got %d", status)
	}
}
