package browser_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
)

// The page works in a router other than ServeMux, however it is mounted there.
func TestChi(t *testing.T) {
	t.Parallel()
	p := newPanel(t, nil, nil)
	for name, mount := range map[string]func(r chi.Router, panel http.Handler){
		"stripped": func(r chi.Router, panel http.Handler) { r.Mount("/keys", http.StripPrefix("/keys", panel)) },
		"mounted":  func(r chi.Router, panel http.Handler) { r.Mount("/keys/", panel) },
		"handled":  func(r chi.Router, panel http.Handler) { r.Handle("/keys/*", panel) },
		"in a route": func(r chi.Router, panel http.Handler) {
			r.Route("/keys", func(r chi.Router) { r.Mount("/", panel) })
		},
	} {
		r := chi.NewRouter()
		mount(r, p.handler)
		for path, want := range map[string]int{"/keys/": 200, "/keys/panel.js": 200, "/keys/api/keys": 200, "/keys/api/keys/key_x": 404, "/keys/nothing": 404} {
			if w := ask(r, owner, "GET", path, ""); w.Code != want {
				t.Errorf("%s: %s: got %d, want %d", name, path, w.Code, want)
			}
		}
		if w := ask(r, owner, "GET", "/keys", ""); name == "stripped" && (w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "./keys/") {
			t.Errorf("without a slash: got %d to %q", w.Code, w.Header().Get("Location"))
		}
	}
}
