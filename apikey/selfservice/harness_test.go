package selfservice_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
	"github.com/keyhatch/keyhatch/apikey/selfservice"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// session is the host's session. The user in the header is signed in.
func session(r *http.Request) (string, error) {
	user := r.Header.Get("X-Session")
	if user == "" {
		return "", errors.New("no session")
	}
	return user, nil
}

type panel struct {
	keys *apikey.Manager
	http.Handler
}

func newPanel(t testing.TB, st store.Store, keys *apikey.Options, opts *selfservice.Options) *panel {
	t.Helper()
	m, err := apikey.New(st, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &panel{m, selfservice.New(m, session, opts)}
}

// newUnlimitedPanel returns a panel without a limit of keys.
func newUnlimitedPanel(t testing.TB, opts *selfservice.Options) *panel {
	return newPanel(t, memstore.New(), &apikey.Options{MaxKeysPerOwner: -1}, opts)
}

func (p *panel) create(t testing.TB, owner, name string, scopes ...string) apikey.Issued {
	t.Helper()
	issued, err := p.keys.Create(t.Context(), apikey.CreateParams{Owner: owner, Name: name, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// A header is set in a request. If its value is empty, it is removed.
type header struct{ name, value string }

// send sends a request of the signed-in user, from a browser on the same site.
func (p *panel) send(user, method, path, body string, more ...header) *httptest.ResponseRecorder {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, content)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		r.Header.Set("X-Session", user)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, h := range more {
		r.Header.Set(h.name, h.value)
		if h.value == "" {
			r.Header.Del(h.name)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// problemCode returns the code of a problem, or the status text of a success.
func problemCode(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code < 400 {
		return http.StatusText(w.Code)
	}
	var problem struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Header().Get("Content-Type") != "application/problem+json" || problem.Status != w.Code {
		t.Errorf("got %d with %q, want problem details", w.Code, w.Body)
	}
	return problem.Code
}

// decode returns the JSON of a successful response.
func decode[T any](t testing.TB, w *httptest.ResponseRecorder, status int) (v T) {
	t.Helper()
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s, want %d", w.Code, w.Body, status)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

// A key holds the fields of a key in a response that the tests read.
type key struct {
	ID, Name, Hint, Status string
	Scopes                 []string
	CreatedBy              string  `json:"created_by"`
	ExpiresAt              *string `json:"expires_at"`
	DisabledAt             *string `json:"disabled_at"`
	RevokedAt              *string `json:"revoked_at"`
	RevokeReason           string  `json:"revoke_reason"`
	ReplacedBy             string  `json:"replaced_by"`
}

type keyResponse struct {
	Key        key
	Token      string
	Propagated bool
}

var ctx = context.Background()

type ctxType = context.Context
