package browser_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// stored is everything that the page leaves in its browser.
type stored struct {
	Local, Session map[string]string
	Databases      []string // of indexedDB
	Caches         []string
	Workers        []string // the scopes of service workers
	Window         string   // the window's name
	History        string   // the state of the history entry, in JSON
	Cookies        []*network.Cookie
}

// String returns all data as text.
func (s stored) String() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// empty reports whether there is no data.
func (s stored) empty() bool { return s.String() == stored{}.String() }

func (tab *tab) stored(t testing.TB) stored {
	t.Helper()
	defer tab.scripted(t)()
	s := eval[stored](t, tab, `async () => {
		const some = list => list.length ? list : null
		const items = store => store.length ? {...store} : null
		return {
			Local: items(localStorage),
			Session: items(sessionStorage),
			Databases: some((await indexedDB.databases()).map(d => d.name)),
			Caches: some(await caches.keys()),
			Workers: some((await navigator.serviceWorker.getRegistrations()).map(r => r.scope)),
			Window: window.name,
			History: history.state === null ? '' : JSON.stringify(history.state),
		}
	}`)
	jar, err := chromedp.CallBrowser(tab.ctx, storage.GetCookies, storage.GetCookiesParams{
		BrowserContextID: chromedp.FromContext(tab.ctx).BrowserContextID,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Cookies = append(s.Cookies, jar.Cookies...) // nil if there are none
	return s
}

func TestStored(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/":          `<script src="/page.js"></script><p></p>`,
		"/worker.js": ``,
		"/page.js": `
			localStorage.a = "in local storage"
			sessionStorage.a = "in session storage"
			window.name = "in the name of the window"
			history.replaceState({a: "in the state of the history"}, "")
			const open = new Promise((ok, no) => { const r = indexedDB.open("in a database"); r.onsuccess = ok; r.onerror = no })
			Promise.all([open, caches.open("in a cache"), fetch("/set?cookie=in_a_cookie")])
				.then(() => document.querySelector("p").textContent = "Done")`,
	})
	tab.wait(t, `p "Done"`)
	got := tab.stored(t)
	for _, want := range []string{"in local storage", "in session storage", "in the name", "in the state", "in a database", "in a cache", "in_a_cookie"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("got %v, want %q", got, want)
		}
	}
	if got.empty() {
		t.Error("empty: got true for a page that has stored data, want false")
	}
	tab.clean(t)
}
