package browser_test

import (
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
	"time"
)

// policy is as strict as the policy of a page without inline scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// serve serves a page and its files, to test the browser functions. Names begin with a slash;
// "/" is the page's body. serve returns the address without a trailing slash.
func serve(t testing.TB, files map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/slow":
			time.Sleep(200 * time.Millisecond)
		case "/set":
			http.SetCookie(w, &http.Cookie{Name: r.FormValue("cookie"), Value: "value", HttpOnly: true})
			return
		case "/moved":
			http.SetCookie(w, &http.Cookie{Name: "c2", Value: "value"})
			http.Redirect(w, r, "/arrived", http.StatusFound)
			return
		}
		content, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		if path.Ext(r.URL.Path) == "" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`+
				`<title>Site</title><link rel="icon" href="data:,"><body><main><h1>Site</h1>`+content+"</main></body></html>")
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(r.URL.Path)))
		io.WriteString(w, content)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// openSite opens the page on a desktop.
func openSite(t testing.TB, files map[string]string) *tab {
	t.Helper()
	tab := newTab(t, desktop)
	if status := tab.open(t, serve(t, files)+"/"); status != http.StatusOK {
		t.Fatalf("got status %d", status)
	}
	return tab
}
