package browser_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// clipboards is locked by the test that uses the clipboard, which all tabs share. It is not
// the machine's.
var clipboards sync.Mutex

// A clipboard belongs to one test until the test ends. A separate tab reads it, so that the page
// under test needs no permission and sees no difference.
type clipboard struct{ reader *tab }

// newClipboard waits for other tests, and returns an empty clipboard.
func newClipboard(t testing.TB) *clipboard {
	t.Helper()
	chromium.context(t)
	clipboards.Lock()
	t.Cleanup(clipboards.Unlock)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(server.Close)
	c := &clipboard{newTab(t, desktop)}
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(c.reader.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission:       &browser.PermissionDescriptor{Name: name},
			Setting:          browser.PermissionSettingGranted,
			Origin:           server.URL,
			BrowserContextID: chromedp.FromContext(c.reader.ctx).BrowserContextID,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.reader.open(t, server.URL)
	c.write(t, "")
	return c
}

func (c *clipboard) text(t testing.TB) string {
	t.Helper()
	return eval[string](t, c.reader, `() => navigator.clipboard.readText()`)
}

func (c *clipboard) write(t testing.TB, words string) {
	t.Helper()
	eval[any](t, c.reader, `words => navigator.clipboard.writeText(words)`, words)
}

func TestClipboard(t *testing.T) {
	t.Parallel()
	t.Run("left", func(t *testing.T) { newClipboard(t).write(t, "by another test") })
	c := newClipboard(t)
	tab := openSite(t, map[string]string{
		"/": `<button>Copy</button><p></p><script src="/page.js"></script>`,
		"/page.js": `const say = word => document.querySelector("p").textContent += word + " "
			document.querySelector("button").onclick = () => navigator.clipboard.writeText("words").then(() => say("copied"))
			navigator.permissions.query({name: "clipboard-read"}).then(p => say(p.state))`,
	})
	tab.wait(t, `p "prompt"`) // it has no permission
	if got := c.text(t); got != "" {
		t.Errorf("got %q before", got)
	}
	tab.click(t, "button")
	tab.wait(t, `p "prompt copied"`)
	if got := c.text(t); got != "words" {
		t.Errorf("got %q, want the copied text", got)
	}
	tab.clean(t)
}
