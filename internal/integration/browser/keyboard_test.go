package browser_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press presses the keys while the modifiers are held down. Package kb has the keys that are
// not characters: kb.Tab, kb.Enter, kb.Escape.
func (tab *tab) press(t testing.TB, keys string, modifiers ...chromedp.Modifier) {
	t.Helper()
	tab.do(t, "press "+keys, chromedp.KeyEvent(keys, chromedp.KeyModifiers(modifiers...)))
}

// focused describes the element with the focus and its text or label, such as
// button#copy "Copy".
func (tab *tab) focused(t testing.TB) string {
	t.Helper()
	return eval[string](t, tab, `() => {`+words+`
		const e = document.activeElement
		const name = e.localName + (e.id && '#' + e.id)
		return e === document.body || !words(e) ? name : name + ' "' + words(e) + '"'
	}`)
}

func (tab *tab) do(t testing.TB, what string, action chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		t.Fatalf("%s: %v%s", what, err, tab.state())
	}
}

func TestKeyboard(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/": `<form action="/second"><label>Name <input name="title"></label><button id="send">Send</button></form>
			<button id="ask">Ask</button><dialog><button id="no" aria-label="No, thanks">No</button></dialog><script src="/page.js"></script>`,
		"/second":  `<p>Sent</p>`,
		"/page.js": `document.querySelector("#ask").onclick = () => document.querySelector("dialog").showModal()`,
	})
	focus := func(want string) {
		t.Helper()
		if got := tab.focused(t); got != want {
			t.Errorf("got the focus on %q, want %q", got, want)
		}
	}
	focus("body")
	tab.press(t, kb.Tab)
	focus(`input "Name"`)
	tab.press(t, kb.Tab)
	tab.press(t, kb.Tab)
	focus(`button#ask "Ask"`)
	tab.press(t, " ")
	focus(`button#no "No, thanks"`)
	tab.press(t, kb.Escape)
	tab.gone(t, "dialog")
	focus(`button#ask "Ask"`)
	tab.press(t, kb.Enter)
	tab.wait(t, "dialog")
	tab.press(t, kb.Escape)
	tab.press(t, kb.Tab, chromedp.ModifierShift)
	focus(`button#send "Send"`)
	tab.press(t, kb.Tab, chromedp.ModifierShift)
	tab.press(t, "me"+kb.Enter)
	tab.wait(t, `p "Sent"`)
	tab.clean(t)
}
