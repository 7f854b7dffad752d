package browser_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// corpus returns payloads that try to run a script: combinations of ways to break out of the
// markup and of elements to insert.
func corpus() (payloads []string) {
	const run = "window.hit=1"
	breakouts := []string{"", `"`, `'`, `">`, `'>`, "-->", "</title>", "</textarea>", "</script>", "</style>", "</bdi>", "</time>", "`", "\\\"", `{{`, `&quot;>`, `%22%3E`}
	vectors := []string{
		"<script>" + run + "</script>", "<img src=x onerror=" + run + ">", "<svg onload=" + run + ">", "<body onload=" + run + ">",
		"<iframe src=javascript:" + run + ">", "<a href=javascript:" + run + ">x</a>", "<details open ontoggle=" + run + ">",
		"<input autofocus onfocus=" + run + ">", "<video><source onerror=" + run + ">", "<math><mtext><img src onerror=" + run + ">",
		"<form action=javascript:" + run + "><button>", "<object data=javascript:" + run + ">", "<base href=//evil.example>",
		"<meta http-equiv=refresh content=0;url=//evil.example>", "<link rel=stylesheet href=//evil.example>", "<style>*{color:red}</style>",
		"<svg><animate onbegin=" + run + ">", "<marquee onstart=" + run + ">", "<noscript><p title='</noscript><img src onerror=" + run + ">'>",
		" onmouseover=" + run + " x=", " autofocus onfocus=" + run + " x=", "javascript:" + run, "data:text/html,<script>" + run + "</script>",
		"${" + run + "}", "{{constructor.constructor('" + run + "')()}}", "<%= " + run + " %>", "<ScRiPt>" + run + "</sCrIpT>",
		"<img/src/onerror=" + run + ">", "<svg/onload=" + run + "//", "&lt;script&gt;" + run + "&lt;/script&gt;",
		"\uff1cscript\uff1e" + run, "<x contenteditable onblur=" + run + ">", "<a href=#settings onclick=" + run + ">",
	}
	for _, b := range breakouts {
		for _, v := range vectors {
			payloads = append(payloads, b+v)
		}
	}
	return payloads
}

// M-09, advisory 23 (CVE-2025-48495): with 500 names, reasons, metadata and creators that try
// to run a script, nothing runs, and no policy is violated.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	payloads := corpus()
	if len(payloads) < 500 {
		t.Fatalf("payloads in the corpus: got %d", len(payloads))
	}
	if !testkit.Soak() { // every seventh payload, which covers all breakouts and vectors
		var some []string
		for i := 0; i < len(payloads); i += 7 {
			some = append(some, payloads[i])
		}
		payloads = some
	}
	p := newPanel(t, nil, nil)
	plan := pro
	plan.MaxKeys = -1
	p.set(t, plan, nil)
	short := func(s string) string { return string([]rune(s)[:min(64, utf8.RuneCountInString(s))]) }
	whole := 0
	for i, payload := range payloads {
		if short(payload) == payload {
			whole++
		}
		issued := p.create(t, apikey.CreateParams{Name: short(payload), CreatedBy: payload, Metadata: map[string]string{payload: payload}})
		if i%2 == 0 {
			if _, err := p.keys.Revoke(t.Context(), owner, issued.Key.ID, payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	if whole < len(payloads)*8/10 {
		t.Errorf("got only %d payloads that are complete names", whole)
	}
	tab := p.open(t, desktop)
	shown := map[string]bool{}
	for page := 1; ; page++ {
		names := eval[[]string](t, tab, `() => [...document.querySelectorAll('.name')].map(e => e.textContent)`)
		for _, name := range names {
			shown[name] = true
		}
		// The script also inserts names into dialogs.
		for _, what := range []string{"revoke", "rotate", "edit"} {
			eval[any](t, tab, `what => {
				for (const button of document.querySelectorAll('[data-do=' + what + ']')) {
					button.click()
					document.querySelector('dialog[open]')?.close()
				}
			}`, what)
		}
		if eval[bool](t, tab, `() => 'hit' in window || !!document.querySelector('main script, main iframe, main object, main base, main style, main img, main video, main math, [onerror], [onload]')`) {
			t.Fatalf("page %d: a name became markup", page)
		}
		next := eval[string](t, tab, `() => [...document.querySelectorAll('nav a')].filter(a => a.textContent === 'Older').map(a => a.href).find(h => !window.done) ?? ''`)
		if next == "" {
			break
		}
		tab.open(t, next)
	}
	// The list of ended keys has its own pages.
	for next := p.url; next != ""; {
		tab.open(t, next)
		for _, name := range eval[[]string](t, tab, `() => [...document.querySelectorAll('#ended .name, #ended small')].map(e => e.textContent)`) {
			shown[name] = true
		}
		if eval[bool](t, tab, `() => 'hit' in window`) {
			t.Fatal("a payload ran as script")
		}
		next = eval[string](t, tab, `() => [...document.querySelectorAll('#ended nav a')].find(a => a.textContent === 'Older')?.href ?? ''`)
	}
	for _, payload := range payloads {
		if !shown[strings.TrimSpace(short(payload))] {
			t.Errorf("%q was not shown unchanged", short(payload))
		}
	}
	if asked := tab.asked(t); len(asked) > 0 {
		t.Errorf("got the dialogs %v, want none", asked)
	}
	tab.clean(t)

	// The confirmation page for browsers without scripts.
	for i := 0; i < len(payloads); i += 25 {
		issued := p.create(t, apikey.CreateParams{Name: short(payloads[i])})
		tab.open(t, p.url+"?revoke="+issued.Key.ID)
		if title := tab.text(t, "#confirm-title"); !strings.Contains(title, strings.TrimSpace(short(payloads[i]))[:1]) {
			t.Errorf("got %q", title)
		}
	}
	tab.clean(t)
	t.Logf("%d payloads, %d of them whole names", len(payloads), whole)
}

// Names that could break the layout.
func TestUnwieldyNames(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	plan := pro
	plan.MaxKeys = -1
	p.set(t, plan, nil)
	for _, name := range []string{
		strings.Repeat("W", 64), strings.Repeat("﷽", 64), strings.Repeat("👩‍👩‍👧‍👦", 9), "e" + strings.Repeat("\u0301", 63),
		"مفتاح الخادم الرئيسي (للإنتاج)", strings.Repeat("漢", 64), "a\u00a0b\u3000c", "x", "{name} {expires}", "0",
	} {
		p.create(t, apikey.CreateParams{Name: name, CreatedBy: strings.Repeat("y", 255)})
	}
	for name, d := range map[string]device{"desktop": desktop, "phone": phone} {
		tab := p.open(t, d)
		if wide := eval[int](t, tab, `() => document.documentElement.scrollWidth - innerWidth`); wide > 0 {
			t.Errorf("%s: the page is %d pixels wider than the window", name, wide)
		}
		tab.click(t, fmt.Sprintf(`tr[data-id="%s"] [data-do=revoke]`, p.list(t)[1].ID))
		if title := tab.text(t, "#revoke-title"); !strings.Contains(title, "{name} {expires}") {
			t.Errorf("placeholders in a name were replaced: %q", title)
		}
		tab.clean(t)
		tab.screenshot(t, name)
	}
}
