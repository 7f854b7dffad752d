package browser_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// A violation is a violation of an accessibility rule.
type violation struct {
	Rule, Impact, Help string
	Nodes              []string // the elements, and how to fix them
}

func (v violation) String() string {
	return fmt.Sprintf("%s (%s): %s\n\t%s", v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
}

// audit returns the violations that axe-core finds in the current page, of WCAG 2.2 up to AA
// and of its best practices. It logs rules that axe-core cannot decide. It changes a page only
// if scripts are disabled there.
func audit(t testing.TB, tab *tab) []violation {
	t.Helper()
	source, err := axe()
	require(t, err)
	defer tab.scripted(t)()
	// An isolated world shares only the document with the page.
	frame := call(t, tab, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.ID
	world := call(t, tab, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"}).ExecutionContextID
	found, err := tryIn[struct{ Violations, Doubts []violation }](tab, world, `async scriptless => {`+source+`
		// axe-core treats the content of such an element as hidden.
		if (scriptless) for (const e of document.querySelectorAll('noscript')) {
			const box = document.createElement('div')
			box.append(...e.childNodes)
			e.replaceWith(box)
		}
		const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
		const result = await axe.run(document, {runOnly: {type: 'tag', values: tags}})
		const violations = list => list.map(r => ({
			Rule: r.id, Impact: r.impact ?? '', Help: r.help,
			Nodes: r.nodes.map(n => n.target.join(' ') + ': ' + n.html + ': ' + n.failureSummary.replaceAll(/\s+/g, ' ')),
		}))
		return {Violations: violations(result.violations), Doubts: violations(result.incomplete)}
	}`, tab.scriptless)
	if err != nil {
		t.Fatalf("axe: %v%s", err, tab.state())
	}
	for _, d := range found.Doubts {
		t.Log("axe cannot decide:", d)
	}
	return found.Violations
}

// axe returns the source of axe-core in the version of the lock file.
var axe = sync.OnceValues(func() (string, error) {
	missing := fmt.Errorf("axe-core is missing; run npm ci --prefix internal/integration/browser/axe: %w", errNotInstalled)
	want, err := version("axe/package-lock.json", "node_modules/axe-core")
	if err != nil {
		return "", err
	}
	got, err := version("axe/node_modules/.package-lock.json", "node_modules/axe-core")
	if errors.Is(err, fs.ErrNotExist) || err == nil && got != want {
		return "", missing
	}
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile("axe/node_modules/axe-core/axe.min.js")
	return string(source), err
})

// version returns the version of a package in a lock file.
func version(file, name string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	p := lock.Packages[name]
	if p.Integrity == "" {
		return "", fmt.Errorf("%s: no integrity for %s", file, name)
	}
	return p.Version + " " + p.Integrity, nil
}

func TestAudit(t *testing.T) {
	t.Parallel()
	const style = `<link rel="stylesheet" href="/page.css">`
	files := map[string]string{
		"/good": style + `<p>Words</p><label>Name <input class="big" name="title"></label><button class="big">Go</button>`,
		"/bad": style + `<img src="data:,"><input class="big" name="title"><button class="big"></button><p class="pale">Words</p>
			<button class="small">a b c</button><button class="small">d e f</button><h4>Words</h4>`,
		"/page.css": `
			body { font: 16px sans-serif }
			.big { min-width: 48px; min-height: 48px }
			.pale { color: #ccc; background: #fff }
			.small { width: 10px; height: 10px; padding: 0 }`,
	}
	tab, site := newTab(t, phone), serve(t, files)
	tab.open(t, site+"/good")
	before := len(tab.requests(t))
	if got := audit(t, tab); len(got) > 0 {
		t.Errorf("got %v for a correct page", got)
	}
	tab.clean(t) // the audit violates no policy
	if left := eval[string](t, tab, `() => typeof axe`); left != "undefined" {
		t.Error("the page can see the audit")
	}
	if got := tab.requests(t); len(got) > before {
		t.Errorf("got requests %v, want none by the audit", got[before:])
	}
	tab.open(t, site+"/bad")
	var got []string
	for _, v := range audit(t, tab) {
		got = append(got, v.Rule)
	}
	slices.Sort(got)
	// Rules of WCAG 2.0, of 2.2, and of best practices.
	want := []string{"button-name", "color-contrast", "heading-order", "image-alt", "label", "target-size"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAuditInDarkMode(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/":         `<link rel="stylesheet" href="/page.css"><p>Words</p>`,
		"/page.css": `@media (prefers-color-scheme: dark) { body { background: #000; color: #222 } }`,
	})
	if got := audit(t, tab); len(got) > 0 {
		t.Errorf("in light mode: got %v", got)
	}
	tab.prefer(t, "color-scheme", "dark")
	if got := audit(t, tab); len(got) != 1 || got[0].Rule != "color-contrast" {
		t.Errorf("in dark mode: got %v, want color-contrast", got)
	}
}

func TestAuditWithoutScript(t *testing.T) {
	t.Parallel()
	tab := newTab(t, desktop)
	tab.withoutScript(t)
	tab.open(t, serve(t, map[string]string{"/": `<noscript><img src="data:,"></noscript>`})+"/")
	if got := audit(t, tab); len(got) != 1 || got[0].Rule != "image-alt" {
		t.Errorf("got %v, want image-alt", got)
	}
}
