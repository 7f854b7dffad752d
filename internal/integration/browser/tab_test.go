package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is the maximum time for a page on a busy machine.
const patience = time.Minute

// A tab is a window with its own browser profile, so that it shares no cookies, storage or cache
// with other tabs. It is closed when the test ends. A tab is for one goroutine; several tabs may
// be used concurrently.
type tab struct {
	ctx        context.Context
	patience   time.Duration // how long a failing test waits
	device     device
	media      map[string]string // preferences of the user
	scriptless bool
	findings   findings
	traffic    traffic
	dialogs    dialogs
}

func newTab(t testing.TB, d device) *tab {
	t.Helper()
	parent := chromium.context(t)
	tab := &tab{patience: patience, device: d, media: map[string]string{}}
	// The listener receives all events of the tab, including the first.
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.handle))
	t.Cleanup(cancel)
	tab.ctx = ctx
	tab.dialogs.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	call(t, tab, audits.Enable, cdp.Empty{})
	// The events contain request bodies up to this size.
	call(t, tab, network.Enable, network.EnableParams{MaxPostDataSize: pointer(int64(maxBody))})
	d.emulate(t, tab)
	return tab
}

// handle receives all events, in the order in which the browser sends them.
func (tab *tab) handle(event any) {
	tab.findings.handle(event)
	tab.traffic.handle(event)
	tab.dialogs.handle(event)
}

// open loads a page and returns the status of the response.
func (tab *tab) open(t testing.TB, url string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	response, err := chromedp.Run(ctx, chromedp.NavigateResponse(url))
	if err != nil {
		t.Fatalf("open %s: %v%s", url, err, tab.state())
	}
	if response == nil { // only the fragment changed
		return 0
	}
	return int(response.Status)
}

func (tab *tab) reload(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Reload()); err != nil {
		t.Fatalf("reload: %v%s", err, tab.state())
	}
}

// back returns to the previous page, like the browser's button.
func (tab *tab) back(t testing.TB) {
	t.Helper()
	history := call(t, tab, page.GetNavigationHistory, cdp.Empty{})
	if history.CurrentIndex == 0 {
		t.Fatal("back: there is no page before this one")
	}
	entry := history.Entries[history.CurrentIndex-1]
	call(t, tab, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
	// A page may come from the back-forward cache, without a request.
	tab.until(t, "back", func() string {
		at, err := try[string](tab, `() => document.readyState === 'complete' ? location.href : ''`)
		if err != nil || at != entry.URL {
			return fmt.Sprintf("got %q, %v, want %s", at, err, entry.URL)
		}
		return ""
	})
}

// until polls until reason returns "".
func (tab *tab) until(t testing.TB, what string, reason func() string) {
	t.Helper()
	for deadline := time.Now().Add(tab.patience); ; time.Sleep(10 * time.Millisecond) {
		why := reason()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s%s", what, why, tab.state())
		}
	}
}

// state describes the page for a failure message.
func (tab *tab) state() string {
	var s strings.Builder
	at, err := try[[]string](tab, `() => [location.href, document.body?.innerText ?? '']`)
	if err != nil {
		fmt.Fprintf(&s, "\nthe page: %v", err)
	} else {
		fmt.Fprintf(&s, "\nthe page %s:\n%s", at[0], at[1])
	}
	for _, f := range tab.findings.all() {
		fmt.Fprintf(&s, "\n%v", f)
	}
	return s.String()
}

// call runs a command of the DevTools protocol.
func call[P, R any](t testing.TB, tab *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		t.Fatalf("%s: %v%s", command.Method, err, tab.state())
	}
	return result
}

// eval calls a JavaScript function in the page, awaits its promise and returns the result. The
// page's policies do not apply to it.
func eval[T any](t testing.TB, tab *tab, function string, args ...any) T {
	t.Helper()
	result, err := try[T](tab, function, args...)
	if err != nil {
		t.Fatalf("%v\nin %s", err, function)
	}
	return result
}

// try is like eval, for a page that may still be loading.
func try[T any](tab *tab, function string, args ...any) (T, error) {
	return tryIn[T](tab, 0, function, args...)
}

// tryIn is like try, but in the given JavaScript world; 0 is the page's own.
func tryIn[T any](tab *tab, world runtime.ExecutionContextID, function string, args ...any) (result T, err error) {
	list, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	answer, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
		Expression:    fmt.Sprintf("(%s)(...%s)", function, list),
		ContextID:     world,
		AwaitPromise:  pointer(true),
		ReturnByValue: pointer(true),
		Silent:        pointer(true),
	})
	if err != nil {
		return result, err
	}
	if answer.ExceptionDetails != nil {
		return result, &chromedp.ExceptionError{ExceptionDetails: answer.ExceptionDetails}
	}
	if len(answer.Result.Value) == 0 { // undefined
		return result, nil
	}
	return result, json.Unmarshal(answer.Result.Value, &result)
}

func pointer[T any](v T) *T { return &v }

func TestTabsShareNothing(t *testing.T) {
	t.Parallel()
	site := serve(t, map[string]string{"/": ""})
	first, second := newTab(t, desktop), newTab(t, desktop)
	first.open(t, site)
	eval[any](t, first, `() => { localStorage.a = 1; document.cookie = 'a=1' }`)
	second.open(t, site)
	if got := second.stored(t); !got.empty() {
		t.Errorf("got %v in another tab", got)
	}
	if got := first.stored(t); got.empty() {
		t.Errorf("got %v", got)
	}
	// A page without the focus shows no focused element and cannot use the clipboard.
	for _, tab := range []*tab{first, second} {
		if !eval[bool](t, tab, `() => document.hasFocus()`) {
			t.Error("the tabs share one focus")
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	site := serve(t, map[string]string{"/": `<p>First</p><input>`, "/second": `<p>Second</p>`})
	tab := newTab(t, desktop)
	tab.open(t, site+"/")
	tab.typeIn(t, "input", "x")
	tab.reload(t)
	if got := tab.value(t, "input"); got != "" {
		t.Errorf("got %q after reload", got)
	}
	tab.open(t, site+"/second")
	tab.back(t)
	if got := tab.text(t, "p"); got != "First" {
		t.Errorf("got %q after back", got)
	}
	if got := tab.open(t, site+"/none"); got != 404 {
		t.Errorf("got status %d, want 404", got)
	}
}
