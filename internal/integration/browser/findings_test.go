package browser_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A finding is an event that a correct page does not cause.
type finding struct {
	kind, text string
}

const (
	console   = "console"   // messages of scripts and of the browser
	exception = "exception" // uncaught exceptions and rejected promises
	csp       = "csp"       // a violation of the content security policy
	issue     = "issue"     // other issues in the browser's developer tools
	failure   = "failure"   // failed requests: no response, or a status of 400 or above
)

func (f finding) String() string { return f.kind + ": " + f.text }

// findings holds the findings of a tab so far.
type findings struct {
	mu       sync.Mutex
	list     []finding
	pending  map[network.RequestID]string
	answered map[network.RequestID]bool
	latest   time.Time // time of the last event
}

func (f *findings) handle(event any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = time.Now()
	if f.pending == nil {
		f.pending, f.answered = map[network.RequestID]string{}, map[network.RequestID]bool{}
	}
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		f.add(console, "%s: %s", e.Type, said(e.Args))
	case *runtime.EventExceptionThrown:
		f.add(exception, "%s", &chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails})
	case *log.EventEntryAdded:
		f.add(console, "%s: %s: %s %s", e.Entry.Level, e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *audits.EventIssueAdded:
		if v := e.Issue.Details.ContentSecurityPolicyIssueDetails; v != nil {
			f.add(csp, "%s", violated(v))
		} else {
			details, _ := json.Marshal(e.Issue.Details) // cannot fail: the client library decoded Details from JSON
			f.add(issue, "%s: %s", e.Issue.Code, details)
		}
	case *inspector.EventTargetCrashed:
		f.add(exception, "the page crashed")
	case *network.EventRequestWillBeSent:
		// The browser cancels its own request for an icon.
		if !strings.HasSuffix(e.Request.URL, "/favicon.ico") {
			f.pending[e.RequestID] = e.Request.Method + " " + e.Request.URL
		}
	case *network.EventResponseReceived:
		f.answered[e.RequestID] = true
		if e.Response.Status >= 400 {
			f.add(failure, "%s: %d", f.pending[e.RequestID], e.Response.Status)
		}
	case *network.EventLoadingFinished:
		delete(f.pending, e.RequestID)
	case *network.EventLoadingFailed:
		// If a script does not read a response without a body, the browser reports it
		// as canceled.
		if !e.Canceled || !f.answered[e.RequestID] {
			f.add(failure, "%s: %s %s", f.pending[e.RequestID], e.ErrorText, e.BlockedReason)
		}
		delete(f.pending, e.RequestID)
	}
}

func (f *findings) add(kind, format string, args ...any) {
	f.list = append(f.list, finding{kind, strings.TrimSpace(fmt.Sprintf(format, args...))})
}

func said(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		switch {
		case len(a.Value) > 0:
			words = append(words, string(a.Value))
		case a.UnserializableValue != "":
			words = append(words, string(a.UnserializableValue))
		default:
			words = append(words, a.Description)
		}
	}
	return strings.Join(words, " ")
}

func violated(v *audits.ContentSecurityPolicyIssueDetails) string {
	s := fmt.Sprintf("%s %s %s", v.ViolatedDirective, v.ContentSecurityPolicyViolationType, v.BlockedURL)
	if at := v.SourceCodeLocation; at != nil {
		s += fmt.Sprintf(" at %s:%d:%d", at.URL, at.LineNumber, at.ColumnNumber)
	}
	return s
}

func (f *findings) all() []finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// waits returns the event that is still expected, or "".
func (f *findings) waits() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, request := range f.pending {
		return request + " has no response yet"
	}
	// The events of the page and of its requests come from two processes.
	if time.Since(f.latest) < 50*time.Millisecond {
		return "new events keep coming"
	}
	return ""
}

// settle waits until all requests have their responses and there are no more events.
func (tab *tab) settle(t testing.TB) {
	t.Helper()
	// All earlier messages of the page come before the result.
	call(t, tab, runtime.Evaluate, runtime.EvaluateParams{Expression: "0"})
	tab.until(t, "settle", tab.findings.waits)
}

// found returns the findings of a kind, or all findings if kind is empty.
func (tab *tab) found(t testing.TB, kind string) []finding {
	t.Helper()
	tab.settle(t)
	return slices.DeleteFunc(tab.findings.all(), func(f finding) bool { return kind != "" && f.kind != kind })
}

// expect removes all findings that contain the text, since the test caused them on purpose. It
// fails the test if there are none.
func (tab *tab) expect(t testing.TB, text string) {
	t.Helper()
	tab.settle(t)
	f := &tab.findings
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.list)
	f.list = slices.DeleteFunc(f.list, func(f finding) bool { return strings.Contains(f.String(), text) })
	if len(f.list) == before {
		t.Errorf("findings with %q: got none in %v", text, f.list)
	}
}

// clean fails the test for each remaining finding.
func (tab *tab) clean(t testing.TB) {
	t.Helper()
	for _, f := range tab.found(t, "") {
		t.Error(f)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	tab := newTab(t, desktop)
	tests := []struct {
		name, page, script string
		want               map[string]string // by kind, a text that one finding must contain
	}{
		{"inline script", `<script>window.x = 1</script>`, ``, map[string]string{csp: "script-src-elem kInlineViolation", console: "Content Security Policy"}},
		{"inline handler", `<p onclick="x()">`, ``, map[string]string{csp: "script-src-attr kInlineViolation"}},
		{"inline style", `<p style="color: red">`, ``, map[string]string{csp: "style-src-attr kInlineViolation"}},
		{"evaluation", ``, `eval("1")`, map[string]string{csp: "require-trusted-types-for", exception: "EvalError"}},
		{"untrusted markup", ``, `document.body.innerHTML = "<b>"`, map[string]string{csp: "kTrustedTypesSinkViolation"}},
		{"policy of types", ``, `trustedTypes.createPolicy("own", {})`, map[string]string{csp: "kTrustedTypesPolicyViolation"}},
		{"other site's address", ``, `fetch("https://example.com/").catch(() => {})`, map[string]string{csp: "connect-src kURLViolation https://example.com"}},
		{"other site's image", `<img alt="" src="//example.com/i.png">`, ``, map[string]string{csp: "img-src kURLViolation", failure: "csp"}},
		{"error said", ``, `console.error("no", 1, {a: 2})`, map[string]string{console: `error: "no" 1 Object`}},
		{"words said", ``, `console.debug("so")`, map[string]string{console: `debug: "so"`}},
		{"exception", ``, `setTimeout(() => { throw new Error("thrown") })`, map[string]string{exception: "thrown"}},
		{"rejection", ``, `Promise.reject(new Error("rejected"))`, map[string]string{exception: "rejected"}},
		{"no such file", `<img alt="" src="/none.png">`, ``, map[string]string{failure: "/none.png: 404", console: "404"}},
		{"broken response", ``, `fetch("/broken").catch(() => {})`, map[string]string{failure: "/broken: net::ERR_"}},
		{"given up", ``, `const c = new AbortController(); fetch("/slow", {signal: c.signal}).catch(() => {}); c.abort()`, map[string]string{failure: "/slow: net::ERR_ABORTED"}},
		{"slow failure", ``, `fetch("/slow")`, map[string]string{failure: "/slow: 404"}},
		{"field without a name", `<label>Words <input></label>`, ``, map[string]string{issue: "FormEmptyIdAndNameAttributesForInputError"}},
	}
	for _, test := range tests {
		tab.open(t, serve(t, map[string]string{"/": test.page + `<script src="/page.js"></script>`, "/page.js": test.script})+"/")
		for kind, want := range test.want {
			if !slices.ContainsFunc(tab.found(t, kind), func(f finding) bool { return strings.Contains(f.text, want) }) {
				t.Errorf("%s: got %q, want %s with %q", test.name, tab.found(t, ""), kind, want)
			}
		}
		tab.expect(t, "") // all findings, so that the next page begins without any
	}
}

func TestNoFindings(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/":         `<link rel="stylesheet" href="/page.css"><img alt="" src="/icon.svg"><script src="/page.js"></script>`,
		"/page.css": `body { color: #000 }`,
		"/icon.svg": `<svg xmlns="http://www.w3.org/2000/svg"/>`,
		"/page.js": `fetch("/data.json").then(r => r.json()).then(d => document.querySelector("h1").textContent = d.title)
			fetch("/none.json", {method: "DELETE"})`,
		"/data.json": `{"title": "Data"}`,
		"/none.json": ``,
	})
	tab.clean(t)
	if got := tab.text(t, "h1"); got != "Data" {
		t.Errorf("got %q: the script did not run", got)
	}
}

func TestCleanAndExpect(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{"/": `<script src="/page.js"></script>`, "/page.js": `console.log("one"); console.log("two"); fetch("/none")`})
	if got := attempt(t, tab.clean); len(got.failed) != 4 {
		t.Errorf("got %q, want two messages and a failure that is also in the console", got.failed)
	}
	tab.expect(t, `"one"`)
	tab.expect(t, "404")
	if got := attempt(t, func(t testing.TB) { tab.expect(t, `"one"`) }); len(got.failed) != 1 {
		t.Errorf("got %q, want a failure, since the finding is gone", got.failed)
	}
	if got := attempt(t, tab.clean); len(got.failed) != 1 || !strings.Contains(got.failed[0], "two") {
		t.Errorf("got %q, want the finding that was not expected", got.failed)
	}
}
