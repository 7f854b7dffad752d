package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

// traces returns the places where a secret was left: requests and the headers of responses,
// storage, the history, messages and dialogs. The page itself may show the secret.
func (tab *tab) traces(t testing.TB, secret string) (places []string) {
	t.Helper()
	look := func(place string, v any) {
		if strings.Contains(fmt.Sprint(v), secret) {
			places = append(places, place)
		}
	}
	for _, r := range tab.requests(t) {
		look("the address of "+r.String(), r.url)
		look("the header of "+r.String(), r.header)
		look("the body of "+r.String(), r.body)
		look("the response to "+r.String(), r.answer)
	}
	look("storage", tab.stored(t))
	for _, entry := range call(t, tab, page.GetNavigationHistory, cdp.Empty{}).Entries {
		look("the history", entry.URL+" "+entry.Title)
	}
	look("the findings", tab.findings.all())
	look("the dialogs", tab.asked(t))
	return places
}

func TestTraces(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/": `<p></p><script src="/page.js"></script>`,
		"/page.js": `document.querySelector("p").textContent = "s3cret"
			addEventListener("hashchange", async () => {
				await fetch("/data.json?s3cret")
				await fetch("/data.json", {headers: {A: "s3cret"}})
				await fetch("/data.json", {method: "POST", body: "s3cret"})
				await fetch("/set?cookie=s3cret")
				history.pushState(null, "", "#s3cret")
				console.log("s3cret")
				alert("s3cret")
				document.querySelector("p").textContent = "Done"
			})`,
		"/data.json": `{}`,
	})
	tab.wait(t, `p "s3cret"`)
	if got := tab.traces(t, "s3cret"); len(got) > 0 {
		t.Errorf("got the traces %q of text that the page only shows, want none", got)
	}
	eval[any](t, tab, `() => { location.hash = "x" }`)
	tab.wait(t, `p "Done"`)
	got := strings.Join(tab.traces(t, "s3cret"), "\n")
	for _, want := range []string{"the address of GET", "the header of GET", "the body of POST", "the response to GET", "storage", "the history", "the findings", "the dialogs"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %q", got, want)
		}
	}
	if got := tab.traces(t, "unseen"); len(got) > 0 {
		t.Errorf("got %q for a text that does not exist", got)
	}
}
