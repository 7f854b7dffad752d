package browser_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
)

// maxBody is the maximum number of bytes of a request's body that are kept.
const maxBody = 1 << 20

// A request is a request of a tab as sent over the network.
type request struct {
	method, url string // the URL includes the fragment, which the browser does not send
	body        string
	status      int         // 0 while there is no response
	header      http.Header // with cookies
	answer      http.Header // headers of the response, including cookies
}

func (r request) String() string { return fmt.Sprintf("%s %s: %d", r.method, r.url, r.status) }

// traffic holds the requests of a tab so far.
type traffic struct {
	mu   sync.Mutex
	list []*hop
	byID map[network.RequestID]*exchange
}

// A hop is a request before or after a redirect.
type hop struct {
	request
	id       network.RequestID
	of       *exchange
	index    int
	bodiless bool // the event does not contain the body
}

// An exchange is the hops with the same request ID. The headers that are sent come in separate
// events, which may be earlier than the others and have only the ID of the exchange. The events
// of its hops are in order.
type exchange struct {
	hops           []*hop
	sent, received []network.Headers
}

func (f *traffic) handle(event any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		x := f.exchange(e.RequestID)
		x.answered(e.RedirectResponse)
		h := &hop{request: sent(e.Request), id: e.RequestID, of: x, index: len(x.hops)}
		h.bodiless = e.Request.HasPostData && h.body == ""
		x.hops = append(x.hops, h)
		f.list = append(f.list, h)
	case *network.EventResponseReceived:
		f.exchange(e.RequestID).answered(e.Response)
	case *network.EventRequestWillBeSentExtraInfo:
		x := f.exchange(e.RequestID)
		x.sent = append(x.sent, e.Headers)
	case *network.EventResponseReceivedExtraInfo:
		x := f.exchange(e.RequestID)
		x.received = append(x.received, e.Headers)
	}
}

func (f *traffic) exchange(id network.RequestID) *exchange {
	if f.byID == nil {
		f.byID = map[network.RequestID]*exchange{}
	}
	if f.byID[id] == nil {
		f.byID[id] = &exchange{}
	}
	return f.byID[id]
}

func (x *exchange) answered(r *network.Response) {
	if r == nil || len(x.hops) == 0 {
		return
	}
	h := x.hops[len(x.hops)-1]
	h.status, h.answer = int(r.Status), header(r.Headers)
}

func sent(r *network.Request) request {
	var body strings.Builder
	for _, part := range r.PostDataEntries {
		body.Write(part.Bytes)
	}
	return request{method: r.Method, url: r.URL + r.URLFragment, header: header(r.Headers), body: body.String()}
}

// header splits several values of one name.
func header(headers network.Headers) http.Header {
	h := http.Header{}
	for name, value := range headers {
		for line := range strings.SplitSeq(fmt.Sprint(value), "\n") {
			h.Add(name, line)
		}
	}
	return h
}

// requests returns the requests of the tab so far, in order.
func (tab *tab) requests(t testing.TB) []request {
	t.Helper()
	tab.settle(t)
	f := &tab.traffic
	f.mu.Lock()
	hops := slices.Clone(f.list)
	f.mu.Unlock()
	for _, h := range hops {
		if h.bodiless { // it was a blob
			h.body = string(call(t, tab, network.GetRequestPostData, network.GetRequestPostDataParams{RequestID: h.id}).PostData)
			h.bodiless = false
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []request
	for _, h := range hops {
		r := h.request
		if h.index < len(h.of.sent) {
			r.header = maps.Clone(r.header)
			maps.Copy(r.header, header(h.of.sent[h.index]))
		}
		if h.index < len(h.of.received) {
			r.answer = header(h.of.received[h.index])
		}
		list = append(list, r)
	}
	return list
}

func TestRequests(t *testing.T) {
	t.Parallel()
	tab := openSite(t, map[string]string{
		"/": `<script src="/page.js"></script>`,
		"/page.js": `
			const headers = {Authorization: "Bearer one"}
			fetch("/set?cookie=c1").then(() => fetch("/moved")).then(() =>
				fetch("/data.json?q=1#part", {method: "POST", headers, body: new Blob(["long ", "x".repeat(100000)])}))`,
		"/data.json": `{}`,
	})
	tab.wait(t, "h1")
	requests := map[string]request{}
	for _, r := range tab.requests(t) {
		_, path, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), "/")
		requests[path] = r
	}
	if r := requests["set?cookie=c1"]; r.method != "GET" || r.status != 200 || !strings.HasPrefix(r.answer.Get("Set-Cookie"), "c1=") {
		t.Errorf("got %v, %v, want a cookie", r, r.answer)
	}
	if r := requests["moved"]; r.status != 302 || r.answer.Get("Location") == "" || r.answer.Get("Set-Cookie") == "" || r.header.Get("Cookie") != "c1=value" {
		t.Errorf("got %v, %v, %v, want a redirect that has a cookie and sets one", r, r.header, r.answer)
	}
	if r := requests["arrived"]; r.status != 404 || r.header.Get("Cookie") != "c1=value; c2=value" {
		t.Errorf("got %v, %v, want the target of the redirect", r, r.header)
	}
	r := requests["data.json?q=1#part"]
	if r.method != "POST" || r.status != 200 || r.header.Get("Authorization") != "Bearer one" {
		t.Errorf("got %v, %v", r, r.header)
	}
	if !strings.HasPrefix(r.body, "long x") || len(r.body) != 100005 {
		t.Errorf("got %d bytes of body, want 100005", len(r.body))
	}
}
