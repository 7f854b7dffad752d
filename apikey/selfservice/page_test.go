package selfservice_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// getPage gets the page as the signed-in user ann.
func (p *panel) getPage(t testing.TB, path string, status int) string {
	t.Helper()
	w := p.send("ann", "GET", path, "")
	if w.Code != status || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("GET %s: got %d %s, want %d and HTML", path, w.Code, w.Header().Get("Content-Type"), status)
	}
	return w.Body.String()
}

// postForm sends the form of the page as ann.
func (p *panel) postForm(fields ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return p.send("ann", "POST", "/", form.Encode(), header{"Content-Type", "application/x-www-form-urlencoded"})
}

// changeablePlan returns a Provider with a plan, and a function that replaces its
// result.
func changeablePlan(plan entitlement.Entitlement) (entitlement.Provider, func(entitlement.Entitlement, error)) {
	var failure error
	return entitlement.ProviderFunc(func(context.Context, string) (entitlement.Entitlement, error) { return plan, failure }),
		func(e entitlement.Entitlement, err error) { plan, failure = e, err }
}

var unlimited = entitlement.Entitlement{Plan: "Team", APIAccess: true, MaxKeys: -1}

// failingLists is a store whose List fails.
type failingLists struct{ store.Store }

func (failingLists) List(context.Context, store.Query) (store.Page, error) {
	return store.Page{}, errors.New("down")
}

var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</textarea><svg/onload=alert(1)>`,
	`{{.T.lead}}{name}{time}`, `javascript:alert(1)`, `&lt;b&gt;`, strings.Repeat("W", 64), strings.Repeat("\u0301", 63) + "a", "مفتاح", "👩‍👩‍👧‍👦",
}

func TestPageEscapesNames(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	tags := strings.Count(p.getPage(t, "/", 200), "<script")
	for _, name := range hostile {
		k, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "ann", Name: name, CreatedBy: name})
		if err != nil {
			t.Fatal(err)
		}
		shown := `<bdi class="name">` + html.EscapeString(name) + `</bdi>`
		body := normalizeQuotes(p.getPage(t, "/", 200))
		if !strings.Contains(body, shown) {
			t.Errorf("%q is not on the page unchanged", name)
		}
		if got := strings.Count(body, "<script"); got != tags || strings.Contains(body, "<img") || strings.Contains(body, "<svg/") {
			t.Errorf("%q is on the page as HTML", name)
		}
		confirmation := normalizeQuotes(p.getPage(t, "/?revoke="+k.Key.ID, 200))
		if !strings.Contains(confirmation, "<bdi>"+html.EscapeString(name)+"</bdi>") || strings.Contains(confirmation, "<script") || strings.Contains(confirmation, "<img") {
			t.Errorf("%q: got the confirmation %s", name, confirmation)
		}
		if w := p.postForm("action", "revoke", "id", k.Key.ID, "reason", name); w.Code != 303 {
			t.Errorf("%q as a reason: got %d", name, w.Code)
		}
		if !strings.Contains(normalizeQuotes(p.getPage(t, "/", 200)), "<small><bdi>"+html.EscapeString(name)) {
			t.Errorf("the reason %q is not on the page", name)
		}
	}
}

// normalizeQuotes replaces the escapes of html/template by those of package html.
func normalizeQuotes(body string) string {
	return strings.NewReplacer("&#43;", "+", "&#x27;", "&#39;").Replace(body)
}

func TestPageNotices(t *testing.T) {
	t.Parallel()
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		plan     entitlement.Entitlement
		err      error
		keys     int
		want     string
		creating bool
	}{
		"empty":     {unlimited, nil, 0, "empty_title", true},
		"some":      {unlimited, nil, 2, "keys", true},
		"lasting":   {entitlement.Entitlement{APIAccess: true, MaxKeys: -1, ValidUntil: later}, nil, 1, "keys", true},
		"full":      {entitlement.Entitlement{APIAccess: true, MaxKeys: 2}, nil, 2, "limit_title", false},
		"excess":    {entitlement.Entitlement{APIAccess: true, MaxKeys: 2}, nil, 3, "over_title", false},
		"no access": {entitlement.Entitlement{Plan: "Free"}, nil, 1, "no_access_title", false},
		"lapsed":    {entitlement.Entitlement{APIAccess: true, ValidUntil: past}, nil, 1, "lapsed_title", false},
		"none":      {entitlement.Entitlement{}, entitlement.ErrNone, 1, "no_access_title", false},
		"unknown":   {entitlement.Entitlement{}, errors.New("billing is down"), 1, "no_plan_title", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider, set := changeablePlan(unlimited)
			p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: provider}, &selfservice.Options{UpgradeURL: "/plans"})
			for i := range c.keys {
				p.create(t, "ann", fmt.Sprint("key ", i))
			}
			set(c.plan, c.err)
			if err := p.keys.InvalidateOwner(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
			body := p.getPage(t, "/", 200)
			if !strings.Contains(body, html.EscapeString(selfservice.Texts()[c.want])) {
				t.Errorf("the page does not have the text %s", c.want)
			}
			enabled := regexp.MustCompile(`<button[^>]*data-do="create">`).MatchString(body)
			if enabled != c.creating {
				t.Errorf("button to create a key: got %t, want %t", enabled, c.creating)
			}
			if n := strings.Count(body, `data-do="revoke"`); n != c.keys {
				t.Errorf("got %d buttons to revoke, want %d", n, c.keys)
			}
			if c.err == nil && !c.creating != strings.Contains(body, `href="/plans"`) {
				t.Errorf("link to buy a plan: got %t, want %t", c.creating, !c.creating)
			}
		})
	}
}

func TestPageFailures(t *testing.T) {
	t.Parallel()
	text := selfservice.Texts()
	p := newPanel(t, memstore.New(), nil, &selfservice.Options{SignInURL: "/login", KeyScope: "keys"})
	token := p.create(t, "ann", "ci", "keys").Secret.Reveal()
	down := newPanel(t, failingLists{memstore.New()}, nil, nil)
	for name, c := range map[string]struct {
		p      *panel
		user   string
		header header
		status int
		want   string
	}{
		"signed out":          {p, "", header{"X", "y"}, 401, text["signed_out_title"]},
		"sign in":             {p, "", header{"X", "y"}, 401, `href="/login"`},
		"a key":               {p, "", header{"Authorization", "Bearer " + token}, 403, text["forbidden_title"]},
		"a key and a session": {p, "ann", header{"Authorization", "Bearer " + token}, 403, text["forbidden_title"]},
		"an outage":           {down, "ann", header{"X", "y"}, 503, text["unavailable_title"]},
		"try again":           {down, "ann", header{"X", "y"}, 503, `href="./"`},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			w := c.p.send(c.user, method, "/", "", c.header)
			if method == "POST" && c.p == down {
				continue // a form without an action needs no store
			}
			if w.Code != c.status || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s: %s: got %d %q", name, method, w.Code, w.Header())
			}
			if method != "HEAD" && !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s: %s: got no %q in the page %s", name, method, c.want, w.Body)
			}
			if strings.Contains(w.Body.String(), "panel.js") || strings.Contains(w.Body.String(), token) {
				t.Errorf("%s: the failure has a script or a token: %s", name, w.Body)
			}
			if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("%s: got Retry-After %q", name, w.Header().Get("Retry-After"))
			}
		}
	}
}

func TestPageRevokesWithoutScript(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	k, other := p.create(t, "ann", "ci").Key, p.create(t, "bob", "bob's").Key
	body := p.getPage(t, "/", 200)
	if !strings.Contains(body, `href="./?revoke=`+k.ID+`"`) {
		t.Fatalf("no link to revoke a key in %s", body)
	}
	confirmation := p.getPage(t, "/?revoke="+k.ID, 200)
	for _, want := range []string{"<bdi>ci</bdi>", k.Hint, `method="post" action="./"`, `name="id" value="` + k.ID + `"`, `name="reason"`} {
		if !strings.Contains(confirmation, want) {
			t.Errorf("no %s in %s", want, confirmation)
		}
	}
	for _, id := range []string{other.ID, "key_00000000000000000000", "", "../", "\x00"} {
		if body := p.getPage(t, "/?revoke="+url.QueryEscape(id), 404); !strings.Contains(body, selfservice.Texts()["error_not_found"]) || strings.Contains(body, "bob") {
			t.Errorf("%q: got %s", id, body)
		}
		if w := p.postForm("action", "revoke", "id", id); w.Code != 404 {
			t.Errorf("%q: got %d", id, w.Code)
		}
	}
	for _, reason := range []string{strings.Repeat("é", 128), "a\u202eb", "a\nb"} {
		w := p.postForm("action", "revoke", "id", k.ID, "reason", reason)
		if w.Code != 400 || !strings.Contains(w.Body.String(), selfservice.Texts()["error_invalid_reason"]) {
			t.Errorf("reason %q: got %d %s", reason, w.Code, w.Body)
		}
	}
	for _, fields := range [][]string{{}, {"id", k.ID}, {"action", "create", "id", k.ID}, {"action", "revoke", "id", k.ID, "reason", strings.Repeat("a", 1<<20)}} {
		if w := p.postForm(fields...); w.Code != 400 {
			t.Errorf("got %d, want 400", w.Code)
		}
	}
	if got, err := p.keys.Get(t.Context(), "ann", k.ID); err != nil || !got.RevokedAt.IsZero() {
		t.Fatalf("key before the confirmation: got %+v, %v, want it active", got, err)
	}
	for range 2 { // the Back button can send the form again
		w := p.postForm("action", "revoke", "id", k.ID, "reason", " lost it ")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./?done=revoked" {
			t.Fatalf("got %d %q", w.Code, w.Header())
		}
	}
	if got, err := p.keys.Get(t.Context(), "ann", k.ID); err != nil || got.RevokedAt.IsZero() || got.RevokeReason != "lost it" {
		t.Errorf("got %+v, %v", got, err)
	}
	if body := p.getPage(t, "/?done=revoked", 200); !strings.Contains(body, selfservice.Texts()["done"]) || !strings.Contains(body, "lost it") {
		t.Errorf("got %s", body)
	}
}

func TestPagePaging(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for i := range 130 {
		k := p.create(t, "ann", fmt.Sprintf("key-%03d", i)).Key
		if i%2 == 0 {
			if _, err := p.keys.Revoke(t.Context(), "ann", k.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	names := regexp.MustCompile(`key-\d\d\d</bdi>`)
	link := func(body, text string, n int) string {
		all := regexp.MustCompile(`href="\./([^"#]*)#\w+">`+text+`<`).FindAllStringSubmatch(body, -1)
		if n >= len(all) {
			t.Fatalf("no link %d to %s in %s", n, text, body)
		}
		return "/" + html.UnescapeString(all[n][1])
	}
	first := p.getPage(t, "/", 200)
	second := p.getPage(t, link(first, "Older", 0), 200)
	if n := strings.Count(second, `data-do="revoke"`); n != 15 {
		t.Errorf("got %d current keys on the second page, want 15", n)
	}
	both := p.getPage(t, link(second, "Older", 0), 200) // this link leads to older ended keys, since the current keys end on this page
	seen := map[string]int{}
	for _, name := range append(names.FindAllString(first, -1), names.FindAllString(both, -1)...) {
		seen[name]++
	}
	if len(seen) != 130 {
		t.Errorf("got %d keys on two pages of both lists, want 130", len(seen))
	}
	if again := p.getPage(t, link(both, "Newest", 0), 200); strings.Count(again, `data-do="revoke"`) != 50 || !strings.Contains(again, `<details id="ended" open>`) {
		t.Error("the link to the newest keys of one list changed the page of the other")
	}
	for _, cursor := range []string{"x", strings.Repeat("A", 10000), "%00", "AAAAAAAAAAAAYQ"} {
		if body := p.getPage(t, "/?current="+cursor+"&ended="+cursor, 200); body != first {
			t.Errorf("cursor %.20s: got another page than the first", cursor)
		}
	}
}

func TestPageHasRelativeAddresses(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, &selfservice.Options{KeyScope: "keys"})
	k := p.create(t, "ann", "ci").Key
	p.create(t, "ann", "revoked")
	address := regexp.MustCompile(`(?:href|src|action|srcset|formaction)="([^"]*)"`)
	for _, body := range []string{p.getPage(t, "/", 200), p.getPage(t, "/?revoke="+k.ID, 200), p.send("", "GET", "/", "").Body.String()} {
		found := address.FindAllStringSubmatch(body, -1)
		if len(found) == 0 {
			t.Error("the page has no addresses")
		}
		for _, a := range found {
			if u, err := url.Parse(a[1]); err != nil || u.IsAbs() || strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "..") {
				t.Errorf("%s is not relative", a[1])
			}
		}
		for _, inline := range []string{"<style", " style=", " onclick", " onload", "javascript:"} {
			if strings.Contains(body, inline) {
				t.Errorf("the page has %s: %s", inline, body)
			}
		}
	}
	prefixed := http.StripPrefix("/a/b", p)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/a/b/", strings.NewReader("action=revoke&id="+k.ID))
	r.Header.Set("X-Session", "ann")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	prefixed.ServeHTTP(w, r)
	if at := w.Header().Get("Location"); w.Code != 303 || at != "./?done=revoked" {
		t.Errorf("under a prefix: got %d to %q", w.Code, at)
	}
}

func TestPageSize(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, nil)
	for _, name := range []string{"laptop", "CI", "staging"} {
		p.create(t, "ann", name, "reports:read")
	}
	size := len(p.getPage(t, "/", 200))
	for _, name := range []string{"/panel.css", "/panel.js"} {
		size += p.send("", "GET", name, "").Body.Len()
	}
	t.Logf("size of the page: %d bytes", size)
	if size > 38_000 {
		t.Errorf("size of the page: got %d bytes, want at most 38,000", size)
	}
}

func TestPageHead(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newUnlimitedPanel(t, nil))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "HEAD", server.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Session", "ann")
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || response.ContentLength < 1000 {
		t.Errorf("got %d with Content-Length %d, want 200 and the length of the page", response.StatusCode, response.ContentLength)
	}
}

func TestPageOffersCoveredScopes(t *testing.T) {
	t.Parallel()
	offered := []selfservice.Scope{{Name: "reports:read", Description: "See <reports>"}, {Name: "reports:*"}, {Name: "admin"}}
	for name, c := range map[string]struct {
		options []selfservice.Scope
		plan    []string
		want    string
	}{
		"all":                {offered, nil, "reports:read reports:* admin"},
		"covered":            {offered, []string{"reports:*"}, "reports:read reports:*"},
		"one":                {offered, []string{"reports:read"}, "reports:read"},
		"none":               {offered, []string{}, ""},
		"those of the plan":  {nil, []string{"a", "b:*", "*", "c"}, "a c"},
		"a plan without any": {nil, nil, ""},
		"an empty option":    {[]selfservice.Scope{}, []string{"a"}, ""},
	} {
		provider, _ := changeablePlan(entitlement.Entitlement{APIAccess: true, MaxKeys: -1, Scopes: c.plan})
		p := newPanel(t, memstore.New(), &apikey.Options{Entitlements: provider}, &selfservice.Options{Scopes: c.options})
		var got []string
		for _, box := range regexp.MustCompile(`name="scope" value="([^"]*)"`).FindAllStringSubmatch(p.getPage(t, "/", 200), -1) {
			got = append(got, box[1])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestPageDates(t *testing.T) {
	t.Parallel()
	p := newUnlimitedPanel(t, &selfservice.Options{Lang: "ar-EG"})
	at := time.Date(2099, 2, 3, 4, 5, 6, 0, time.UTC)
	k, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: "ann", Name: "ci", ExpiresAt: at})
	if err != nil {
		t.Fatal(err)
	}
	body := p.getPage(t, "/", 200)
	for _, want := range []string{`<html lang="ar-EG" dir="rtl">`, `<time datetime="2099-02-03T04:05:06Z">2099-02-03 04:05 UTC</time>`, "Never used"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if _, err := p.keys.Rotate(t.Context(), "ann", k.Key.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	body = p.getPage(t, "/", 200)
	if !strings.Contains(body, `Works until <time datetime="`) || strings.Count(body, `data-do="rotate"`) != 1 {
		t.Errorf("replaced key: got %s, want the end of its grace period and no button to rotate", body)
	}
}

// Each text is used, and each text that is used exists. The test marks each text and
// looks for the marks on all pages. The template itself fails if a text is missing.
func TestTextsAreAllUsed(t *testing.T) {
	t.Parallel()
	marked := map[string]string{}
	for name, text := range selfservice.Texts() {
		marked[name] = "[" + name + "]" + strings.Join(regexp.MustCompile(`\{\w+\}`).FindAllString(text, -1), " ")
	}
	options := &selfservice.Options{Texts: marked, KeyScope: "keys", BackURL: "/", SignInURL: "/", UpgradeURL: "/", Scopes: []selfservice.Scope{{Name: "a"}}}
	var all strings.Builder
	provider, set := changeablePlan(unlimited)
	st := memstore.New()
	p := newPanel(t, st, &apikey.Options{Entitlements: provider}, options)
	all.WriteString(p.getPage(t, "/?done=revoked", 200)) // without a key
	params := apikey.CreateParams{Owner: "ann", CreatedBy: "bob", Scopes: []string{"a", "b", "c", "d", "e", "keys"}}
	keys := map[string]apikey.Issued{}
	for i := range 120 {
		params.Name = fmt.Sprint("key ", i)
		params.ExpiresAt = time.Time{}
		if i == 117 || i == 119 {
			params.ExpiresAt = time.Now().Add(map[int]time.Duration{117: 50 * time.Millisecond, 119: time.Hour}[i])
		}
		k, err := p.keys.Create(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		keys[params.Name] = k
		if i%2 == 0 {
			p.keys.Revoke(t.Context(), "ann", k.Key.ID, "")
		}
	}
	visit := func(path string) { all.WriteString(p.getPage(t, path, 200)) }
	disabled := true
	p.keys.Rotate(t.Context(), "ann", keys["key 101"].Key.ID, 0)
	p.keys.Rotate(t.Context(), "ann", keys["key 103"].Key.ID, time.Hour)
	p.keys.Update(t.Context(), "ann", keys["key 105"].Key.ID, apikey.UpdateParams{Disabled: &disabled})
	digest := apikey.DigestOf(keys["key 107"].Secret.Reveal())
	if err := st.Touch(t.Context(), []store.Use{{Digest: digest, At: time.Now().UTC().Truncate(time.Microsecond)}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(keys["key 117"].Key.ExpiresAt))
	visit("/")
	visit("/?revoke=" + keys["key 107"].Key.ID)
	for _, more := range regexp.MustCompile(`href="\./(\?current[^"#]*)`).FindAllStringSubmatch(all.String(), 1) {
		visit("/" + html.UnescapeString(more[1]))
	}
	all.WriteString(p.getPage(t, "/?revoke=none", 404))
	all.WriteString(p.postForm("action", "revoke", "id", keys["key 107"].Key.ID, "reason", "a\nb").Body.String())
	all.WriteString(p.send("", "GET", "/", "").Body.String())
	all.WriteString(p.send("", "GET", "/", "", header{"Authorization", "Bearer " + keys["key 107"].Secret.Reveal()}).Body.String())
	all.WriteString(newPanel(t, failingLists{memstore.New()}, nil, options).getPage(t, "/", 503))
	for _, c := range []struct {
		plan entitlement.Entitlement
		err  error
	}{
		{entitlement.Entitlement{Plan: "Free"}, nil}, {entitlement.Entitlement{APIAccess: true, MaxKeys: 1, ValidUntil: time.Now().Add(-time.Hour)}, nil},
		{entitlement.Entitlement{APIAccess: true, MaxKeys: 1}, nil}, {entitlement.Entitlement{APIAccess: true, MaxKeys: 59}, nil},
		{entitlement.Entitlement{}, errors.New("down")},
	} {
		set(c.plan, c.err)
		p.keys.InvalidateOwner(t.Context(), "ann")
		visit("/")
	}
	script, err := os.ReadFile("panel/panel.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, used := range regexp.MustCompile(`\bT\.(\w+)`).FindAllStringSubmatch(string(script), -1) {
		if marked[used[1]] == "" {
			t.Errorf("panel.js uses the unknown text %s", used[1])
		}
	}
	for name := range marked {
		inScript := strings.HasPrefix(name, "error_") || strings.Contains(string(script), "T."+name)
		if !strings.Contains(all.String(), "["+name+"]") || strings.HasPrefix(name, "say_") && !inScript {
			t.Errorf("no page uses the text %s", name)
		}
	}
}

// The script has a text for each problem that the API can return to it.
func TestProblemsHaveTexts(t *testing.T) {
	t.Parallel()
	for _, code := range strings.Fields(`invalid_name invalid_scopes invalid_expires_at invalid_reason duplicate_key key_limit_reached
		api_access_required not_found conflict too_many_requests unauthorized unavailable not_propagated`) {
		if text := selfservice.Texts()["error_"+code]; text == "" {
			t.Errorf("the text for %s is missing", code)
		}
	}
}
