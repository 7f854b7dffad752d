package browser_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// M-08: a page of another site that a signed-in customer opens can change and read
// nothing, by any means that browsers have.
func TestOtherSite(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	issued := p.create(t, apikey.CreateParams{Name: "secret name"})
	var mu sync.Mutex
	responses := map[string]int{}
	p.front = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		record := httptest.NewRecorder()
		next.ServeHTTP(record, r)
		mu.Lock()
		responses[fmt.Sprint(r.Method, " ", record.Code)]++
		mu.Unlock()
		for name, values := range record.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(record.Code)
		w.Write(record.Body.Bytes())
	}
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!DOCTYPE html><link rel=icon href=data:,><title>evil</title><h1>evil</h1>`)
	}))
	t.Cleanup(evil.Close)
	id := issued.Key.ID
	routes := []string{"", "api/keys", "api/keys/" + id, "api/keys/" + id + "/rotate", "api/keys/" + id + "/revoke", "api/usage", "openapi.json"}
	// Another site, and another origin of the same site.
	hosts := []string{"localhost", "127.0.0.1"}
	if !testkit.Soak() {
		hosts = hosts[rand.IntN(2):][:1]
	}
	for _, host := range hosts {
		tab := newTab(t, desktop)
		tab.open(t, strings.Replace(evil.URL, "127.0.0.1", host, 1))
		read := eval[[]string](t, tab, `async (base, routes, id) => {
			const read = []
			for (const route of routes) {
				for (const method of ['GET', 'POST', 'PATCH', 'DELETE', 'PUT']) {
					for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', '']) {
						for (const mode of ['cors', 'no-cors']) {
							const body = method === 'GET' ? undefined : type.includes('form') ? 'action=revoke&id=' + id : '{"name": "evil", "disabled": true, "grace_seconds": 0}'
							try {
								const response = await fetch(base + route, {method, mode, credentials: 'include', body, headers: type ? {'Content-Type': type} : {}})
								const text = await response.text()
								if (response.status || text) read.push(method + ' ' + route)
							} catch {}
						}
					}
				}
				navigator.sendBeacon(base + route, new Blob(['{"name": "evil"}'], {type: 'text/plain'}))
				for (const name of ['img', 'script', 'iframe', 'embed']) {
					const e = document.createElement(name)
					e.src = base + route
					await new Promise(resolve => { e.onload = e.onerror = resolve; document.body.append(e); setTimeout(resolve, 100) })
					try { if (e.contentDocument?.body?.innerText) read.push(name + ' ' + route) } catch {}
				}
			}
			for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
				for (const route of routes) {
					const frame = document.createElement('iframe')
					frame.name = 'f' + Math.random()
					const form = document.createElement('form')
					Object.assign(form, {method: 'post', action: base + route, enctype: type, target: frame.name})
					for (const [name, value] of [['action', 'revoke'], ['id', id], ['{"name": "evil", "x": "', '"}']]) {
						const input = document.createElement('input')
						Object.assign(input, {name, value, type: 'hidden'})
						form.append(input)
					}
					document.body.append(frame, form)
					form.submit()
					await new Promise(resolve => { frame.onload = resolve; setTimeout(resolve, 100) })
				}
			}
			return read
		}`, p.url, routes, id)
		if len(read) > 0 {
			t.Errorf("%s could read %q", host, read)
		}
		// The other page may open ours in a window, but must not access that window.
		if eval[bool](t, tab, `async base => { const w = open(base); await new Promise(r => setTimeout(r, 300)); try { return !!w && !!w.document.body.innerText } catch { return false } }`, p.url) {
			t.Errorf("%s could access the page's window", host)
		}
	}
	keys := p.list(t)
	if len(keys) != 1 || keys[0].Name != "secret name" || !keys[0].DisabledAt.IsZero() || !keys[0].RevokedAt.IsZero() || keys[0].ReplacedBy != "" {
		t.Errorf("got %+v, want the key unchanged", keys)
	}
	mu.Lock()
	defer mu.Unlock()
	n := 0
	for response, times := range responses {
		n += times
		if method, code, _ := strings.Cut(response, " "); method != "GET" && code < "400" {
			t.Errorf("a request of another site succeeded: got %s, %d times", response, times)
		}
	}
	if responses["POST 403"] < 15 {
		t.Errorf("got too few attempts: %v", responses)
	}
	t.Logf("received %d requests: %v", n, responses)
}
