package browser_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/keyhatch/keyhatch/apikey"
)

// row returns a selector within the row of a key.
func row(k apikey.Key, rest string) string { return `tr[data-id="` + k.ID + `"] ` + rest }

// The page asks before it revokes a key, and the question names the key. Revoked keys are in
// another list, with the reason.
func TestRevoke(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "old server"})
	p.create(t, apikey.CreateParams{Name: "new server"})
	tab := p.open(t, desktop)
	tab.click(t, row(issued.Key, "[data-do=revoke]"))
	tab.wait(t, "dialog#revoke")
	if title := tab.text(t, "#revoke-title"); !strings.Contains(title, "old server") {
		t.Errorf("the question %q does not name the key", title)
	}
	tab.fine(t)
	tab.screenshot(t, "asked")
	tab.press(t, kb.Escape)
	tab.gone(t, "dialog#revoke")
	if _, err := p.keys.Validate(t.Context(), issued.Secret.Reveal()); err != nil {
		t.Errorf("key after Cancel: got %v", err)
	}
	if got := tab.focused(t); !strings.Contains(got, "old server") {
		t.Errorf("focus after Cancel: got %s, want the earlier element", got)
	}
	tab.click(t, row(issued.Key, "[data-do=revoke]"))
	tab.typeIn(t, "#revoke-reason", "<b>server</b> was sold")
	tab.press(t, kb.Enter)
	tab.wait(t, "#ended")
	if _, err := p.keys.Validate(t.Context(), issued.Secret.Reveal()); err == nil {
		t.Error("the key still works")
	}
	tab.click(t, "#ended summary")
	if text := tab.text(t, "#ended tbody"); !strings.Contains(text, "old server") || !strings.Contains(text, "<b>server</b> was sold") {
		t.Errorf("text in the list: got %q", text)
	}
	if got := tab.focused(t); strings.HasPrefix(got, "body") {
		t.Errorf("focus: got %s, want an element", got)
	}
	tab.fine(t)
	tab.screenshot(t, "revoked")
}

// All of this works without scripts.
func TestRevokeWithoutScript(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "old server"})
	tab := newTab(t, phone)
	tab.withoutScript(t)
	tab.open(t, p.url)
	tab.fine(t)
	tab.screenshot(t, "listed")
	for _, selector := range []string{`button "Create key"`, `button "Rotate"`, "dialog"} {
		if n := tab.count(t, selector); n > 0 {
			t.Errorf("without a script: got %d elements shown that need one: %s", n, selector)
		}
	}
	tab.click(t, row(issued.Key, "[data-do=revoke]"))
	tab.wait(t, "#confirm-title")
	if text := tab.text(t, "#confirm-title"); !strings.Contains(text, "old server") {
		t.Errorf("question: got %q", text)
	}
	tab.fine(t)
	tab.screenshot(t, "asked")
	tab.typeIn(t, "#reason", "sold")
	tab.click(t, `main button[type=submit]`)
	tab.wait(t, "#ended")
	if keys := p.list(t); keys[0].RevokeReason != "sold" || keys[0].RevokedAt.IsZero() {
		t.Errorf("got %+v, want the key revoked", keys[0])
	}
	tab.fine(t)
	tab.screenshot(t, "revoked")
}

func TestRotate(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "ci", Scopes: []string{"reports:read"}})
	tab := p.open(t, desktop)
	tab.click(t, row(issued.Key, "[data-do=rotate]"))
	tab.wait(t, "dialog#rotate")
	tab.fine(t)
	tab.screenshot(t, "asked")
	tab.click(t, "dialog#rotate button[type=submit]")
	token := tab.token(t)
	tab.fine(t)
	for what, token := range map[string]string{"new": token, "old": issued.Secret.Reveal()} {
		if _, err := p.keys.Validate(t.Context(), token); err != nil {
			t.Errorf("the %s token: %v", what, err)
		}
	}
	old, err := p.keys.Get(t.Context(), owner, issued.Key.ID)
	if left := time.Until(old.ExpiresAt); err != nil || left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("grace period of the old key: got %v, %v, want a day", left, err)
	}
	tab.wait(t, row(old, ".badge"))
	tab.screenshot(t, "rotated")
}

func TestEdit(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "ci"})
	tab := p.open(t, phone)
	edit := func() {
		t.Helper()
		tab.rest(t)
		tab.click(t, row(issued.Key, "[data-do=edit]"))
		tab.wait(t, "dialog#edit")
	}
	save := func() apikey.Key {
		t.Helper()
		tab.click(t, "dialog#edit button[type=submit]")
		tab.gone(t, "dialog#edit")
		k, err := p.keys.Get(t.Context(), owner, issued.Key.ID)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	edit()
	tab.fine(t)
	tab.screenshot(t, "dialog")
	tab.typeIn(t, "#edit-name", " 2")
	tab.click(t, "#edit-disabled")
	if k := save(); k.Name != "ci 2" || k.DisabledAt.IsZero() || !k.ExpiresAt.IsZero() {
		t.Errorf("got %+v", k)
	}
	tab.wait(t, row(issued.Key, ".badge"))
	tab.fine(t)
	tab.screenshot(t, "disabled")
	edit()
	tab.click(t, "#edit-disabled")
	eval[any](t, tab, `() => { const s = document.querySelector('#edit-expiry'); s.value = 'date'; s.dispatchEvent(new Event('change'))
		document.querySelector('#edit-date').value = '2099-12-31' }`)
	if k := save(); k.Name != "ci 2" || !k.DisabledAt.IsZero() || k.ExpiresAt.Year() != 2099 {
		t.Errorf("got %+v", k)
	}
	edit()
	eval[any](t, tab, `() => { document.querySelector('#edit-name').value = ' ' }`)
	tab.click(t, "dialog#edit button[type=submit]")
	tab.said(t, "#edit-error")
	tab.wait(t, "#edit-name[aria-invalid=true]")
	tab.expect(t, "400")
	tab.fine(t)
	tab.screenshot(t, "error")
}

// An outage during a revocation is shown, and the page does not claim that the key was
// revoked.
func TestOutageWhileRevoking(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "ci"})
	tab := p.open(t, desktop)
	tab.click(t, row(issued.Key, "[data-do=revoke]"))
	p.down.Store(true)
	tab.click(t, "dialog#revoke button[type=submit]")
	tab.said(t, "#revoke-error")
	tab.screenshot(t, "error")
	p.down.Store(false)
	tab.click(t, "dialog#revoke button[type=submit]")
	tab.wait(t, "#ended")
	tab.expect(t, "503")
	tab.fine(t)
}

// A customer whose session has ended sees a message about it.
func TestSignedOutMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "ci"})
	tab := p.open(t, desktop)
	p.mu.Lock()
	p.owner = ""
	p.mu.Unlock()
	tab.click(t, row(issued.Key, "[data-do=revoke]"))
	tab.click(t, "dialog#revoke button[type=submit]")
	tab.said(t, "#revoke-error")
	tab.screenshot(t, "told")
	tab.expect(t, "401")
	if status := tab.open(t, p.url); status != http.StatusUnauthorized {
		t.Errorf("the page: got %d, want 401", status)
	}
}
