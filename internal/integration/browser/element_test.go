package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The functions here take a CSS selector, optionally followed by the text or the label of the
// element: button "Copy". They wait until exactly one such element is visible.

const words = `
function words(e) { return (e.ariaLabel ?? e.labels?.[0]?.innerText ?? e.innerText ?? '').trim() }`

const locate = words + `
function find(selector) {
	const [, css, wanted] = /^(.*?)(?: "([^"]*)")?$/s.exec(selector)
	const all = [...document.querySelectorAll(css)]
	return wanted === undefined ? all : all.filter(e => words(e) === wanted)
}
function one(selector) {
	const shown = find(selector).filter(e => e.checkVisibility({visibilityProperty: true}))
	if (shown.length !== 1) throw new Error(shown.length + ' elements are ' + selector)
	return shown[0]
}`

// within waits for the element, and calls a function with it and the arguments.
func within[T any](t testing.TB, tab *tab, selector, function string, args ...any) (result T) {
	t.Helper()
	tab.until(t, selector, func() string {
		var err error
		result, err = try[T](tab, "(selector, ...args) => {"+locate+"\nreturn ("+function+")(one(selector), ...args)}", append([]any{selector}, args...)...)
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n") // without the position in these functions
			return why
		}
		return ""
	})
	return result
}

// wait waits for the element.
func (tab *tab) wait(t testing.TB, selector string) {
	t.Helper()
	within[bool](t, tab, selector, `e => true`)
}

// gone waits until no such element is visible.
func (tab *tab) gone(t testing.TB, selector string) {
	t.Helper()
	tab.until(t, selector, func() string {
		if tab.count(t, selector) > 0 {
			return "it is still there"
		}
		return ""
	})
}

// count returns how many such elements are visible now.
func (tab *tab) count(t testing.TB, selector string) int {
	t.Helper()
	return eval[int](t, tab, "selector => {"+locate+"\nreturn find(selector).filter(e => e.checkVisibility({visibilityProperty: true})).length}", selector)
}

// text returns the visible text of the element.
func (tab *tab) text(t testing.TB, selector string) string {
	t.Helper()
	return within[string](t, tab, selector, `e => e.innerText`)
}

// attribute returns an attribute of the element, or nil if it has none.
func (tab *tab) attribute(t testing.TB, selector, name string) *string {
	t.Helper()
	return within[*string](t, tab, selector, `(e, name) => e.getAttribute(name)`, name)
}

// value returns the value of a field.
func (tab *tab) value(t testing.TB, selector string) string {
	t.Helper()
	return within[string](t, tab, selector, `e => e.value`)
}

// click waits until nothing covers the element, and clicks on its middle, or taps on it if the
// device has a touch screen.
func (tab *tab) click(t testing.TB, selector string) {
	t.Helper()
	at := within[[2]float64](t, tab, selector, `e => {
		if (e.matches(':disabled')) throw new Error('it is disabled')
		e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})
		const box = e.getBoundingClientRect()
		const x = box.x + box.width / 2, y = box.y + box.height / 2
		const top = document.elementFromPoint(x, y)
		if (!top || !e.contains(top) && top.closest('label')?.control !== e) throw new Error('it is covered by ' + top?.outerHTML)
		return [x, y]
	}`)
	click := chromedp.Steps(chromedp.MouseEvent(chromedp.MouseMoved, at[0], at[1]), chromedp.MouseClickXY(at[0], at[1]))
	if tab.device.touch {
		click = chromedp.TapXY(at[0], at[1])
	}
	tab.do(t, "click "+selector, click)
}

// typeIn clicks on the field and appends words to its value.
func (tab *tab) typeIn(t testing.TB, selector, words string) {
	t.Helper()
	tab.click(t, selector)
	tab.press(t, words)
}

// Two of each element: one is invisible, or appears later.
const elements = `
	<script src="/page.js"></script><link rel="stylesheet" href="/page.css">
	<p class="hidden">Hidden</p><p class="empty" title="">Seen</p>
	<label>Words <input name="words" value="a"></label>
	<button>Copy</button><button aria-label="Copy">x</button><button>Cut</button>
	<button id="late" disabled>Late</button><div id="cover"></div>
	<button id="off" disabled>Off</button><div id="under"><button>Under</button><div></div></div>
	<button class="far">Far</button>`

const elementsScript = `addEventListener("load", () => {
	setTimeout(() => { cover.remove(); late.disabled = false }, 100)
	for (const b of document.querySelectorAll("button")) b.onclick = e => { b.append("!", e.isTrusted, e.pointerType) }
})`

const elementsStyle = `
	.hidden { visibility: hidden } .far { margin-top: 3000px }
	#cover { position: fixed; inset: 0 }
	#under { position: relative } #under div { position: absolute; inset: 0 }`

func TestElements(t *testing.T) {
	t.Parallel()
	for _, d := range []device{desktop, phone} {
		tab := newTab(t, d)
		tab.open(t, serve(t, map[string]string{"/": elements, "/page.js": elementsScript, "/page.css": elementsStyle})+"/")
		how := "!truemouse"
		if d.touch {
			how = "!truetouch"
		}
		tab.click(t, "#late") // waits until nothing covers it
		tab.gone(t, "#cover")
		tab.click(t, `button "Cut"`)
		tab.click(t, ".far")
		for selector, want := range map[string]string{"p": "Seen", "#late": "Late" + how, ".far": "Far" + how} {
			if got := tab.text(t, selector); got != want {
				t.Errorf("%s: got %q, want %q", selector, got, want)
			}
		}
		tab.typeIn(t, `input "Words"`, "bc Ü")
		if got := tab.value(t, "input"); got != "abc Ü" {
			t.Errorf("got %q", got)
		}
		if got := tab.attribute(t, ".empty", "title"); got == nil || *got != "" {
			t.Errorf("got %v, want an empty attribute", got)
		}
		if got := tab.attribute(t, ".empty", "id"); got != nil {
			t.Errorf("got %q, want no attribute", *got)
		}
		if got := tab.count(t, "button"); got != 7 {
			t.Errorf("got %d buttons, want 7", got)
		}
		tab.patience = 50 * time.Millisecond
		for selector, want := range map[string]string{
			"p.hidden": "0 elements are", "ol": "0 elements are", `button "Copy"`: "2 elements are", "button": "7 elements are",
			"#off": "it is disabled", "#under button": "it is covered by <div>",
		} {
			if got := attempt(t, func(t testing.TB) { tab.click(t, selector) }); len(got.failed) != 1 || !strings.Contains(got.failed[0], want) {
				t.Errorf("%s: got %q, want %q", selector, got.failed, want)
			}
		}
		tab.patience = patience
		tab.clean(t)
	}
}
