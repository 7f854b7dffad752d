package browser_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A dialog is a modal dialog of the browser.
type dialog struct {
	kind string // alert, confirm, prompt, beforeunload
	text string
}

// dialogs holds the dialogs of a tab so far. Each is answered at once.
type dialogs struct {
	ctx context.Context

	mu     sync.Mutex
	list   []dialog
	refuse bool
	words  string
}

func (d *dialogs) handle(event any) {
	e, ok := event.(*page.EventJavascriptDialogOpening)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, dialog{string(e.Type), e.Message})
	answer := page.HandleJavaScriptDialogParams{Accept: !d.refuse, PromptText: d.words}
	// The browser completes no command before this function returns. A page that closes needs no
	// answer, and any other page without an answer fails its test.
	go chromedp.Call(d.ctx, page.HandleJavaScriptDialog, answer)
}

// answer sets the answer to later dialogs. By default they are accepted. The words are for
// prompts.
func (tab *tab) answer(accept bool, words string) {
	d := &tab.dialogs
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse, d.words = !accept, words
}

// asked returns the dialogs so far.
func (tab *tab) asked(t testing.TB) []dialog {
	t.Helper()
	tab.settle(t)
	d := &tab.dialogs
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}

func TestDialogs(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/": `<button>Ask</button><script src="/page.js"></script>`,
		"/page.js": `
			alert("one")
			console.log(confirm("two"))
			document.querySelector("button").onclick = () => console.log(confirm("three"), prompt("four", "4"))
			onbeforeunload = e => e.preventDefault()`,
	})
	tab.expect(t, "true")
	tab.answer(false, "")
	tab.click(t, "button")
	tab.expect(t, "false null")
	tab.answer(true, "words")
	tab.click(t, "button")
	tab.expect(t, `true "words"`)
	tab.open(t, serve(t, map[string]string{"/": ""})+"/")
	want := []dialog{{"alert", "one"}, {"confirm", "two"}, {"confirm", "three"}, {"prompt", "four"}, {"confirm", "three"}, {"prompt", "four"}, {"beforeunload", ""}}
	if got := tab.asked(t); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	tab.clean(t)
}
