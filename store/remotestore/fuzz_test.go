package remotestore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

// A transport returns responses without a network.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// recorded returns the requests and successful responses of all verbs.
func recorded(f *testing.F) (requests, responses [][]byte) {
	for _, v := range verbs {
		h := newHandler(f, populated(f), nil)
		s := newStore(f, "http://localhost", &remotestore.Options{Transport: transport(func(r *http.Request) *http.Response {
			request, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(request))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			requests, responses = append(requests, request), append(responses, bytes.Clone(w.Body.Bytes()))
			return w.Result()
		})})
		if _, err := v.call(context.Background(), s); err != nil {
			f.Fatalf("%s: %v", v.name, err)
		}
	}
	if len(requests) != len(verbs) {
		f.Fatalf("got %d seeds, want one for each of %d verbs", len(requests), len(verbs))
	}
	return requests, responses
}

// for any response, a call returns a valid result, a sentinel whose exact
// code was sent, or an outage.
func FuzzResponse(f *testing.F) {
	_, responses := recorded(f)
	for i, a := range responses {
		f.Add(uint8(i), uint16(200), a)
		for _, p := range allPoisons() {
			poisoned := &response{200, http.Header{}, bytes.Clone(a)}
			if p.spoil(verbs[i].name, poisoned) && len(poisoned.body) < 10_000 {
				f.Add(uint8(i), uint16(poisoned.status), poisoned.body)
			}
		}
		for _, c := range codes {
			f.Add(uint8(i), uint16(c.status), []byte(`{"code":"`+c.text+`"}`))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, status uint16, body []byte) {
		v := verbs[int(n)%len(verbs)]
		s := newStore(t, "http://localhost", &remotestore.Options{Transport: transport(func(*http.Request) *http.Response {
			return &http.Response{
				StatusCode: int(status), Header: http.Header{"Content-Type": {contentType}},
				Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1,
			}
		})})
		got, err := v.call(t.Context(), s)
		switch {
		case isSentinel(err):
			var sent map[string]string
			if e := json.Unmarshal(body, &sent); e != nil || len(sent) != 1 || !known(v, err) {
				t.Errorf("%s: %d %q: got the error %v", v.name, status, body, err)
			}
			for _, c := range codes {
				if c.err == err && (c.status != int(status) || c.text != sent["code"]) {
					t.Errorf("%s: %d %q: got the error %v", v.name, status, body, err)
				}
			}
		case err != nil:
			outage(t, got, err)
		case status != 200 || !utf8.Valid(body):
			t.Errorf("%s: status %d, body %q: got no error, want an outage", v.name, status, body)
		default:
			for _, r := range got {
				belongs(t, v, r)
			}
		}
	})
}

// belongs fails unless r can be in a response to the verb's call.
func belongs(t *testing.T, v verb, r store.Record) {
	t.Helper()
	good := r.ID != "" && r.Owner != "" && !r.Digest.IsZero() && !r.CreatedAt.IsZero()
	switch v.name {
	case "lookup":
		good = good && r.Digest == digest("a")
	case "get", "update":
		good = good && r.Owner == "o" && r.ID == "a"
	case "revoke":
		good = good && r.Owner == "o" && r.ID == "a" && !r.RevokedAt.IsZero()
	case "revoke_all":
		good = good && r.Owner == "o" && r.RevokedAt.Equal(begin) && r.RevokeReason == "closed"
	case "rotate":
		good = good && r.Owner == "o" && (r.ID == "a" && r.ReplacedBy == "n" || r.ID == "n" && r.Digest == digest("n"))
	default:
		good = good && r.Owner == "o"
	}
	for _, at := range []time.Time{r.CreatedAt, r.ExpiresAt, r.DisabledAt, r.RevokedAt, r.LastUsedAt} {
		good = good && at.Location() == time.UTC && at.Year() >= 1 && at.Year() <= 9999
	}
	if !good {
		t.Errorf("%s: got %+v, which does not belong to the request", v.name, r)
	}
}

// A recordingStore records the handler's last call.
type recordingStore struct {
	store.Store
	called string
}

func (s *recordingStore) Insert(ctx context.Context, r store.Record, limit int) error {
	s.called = "insert"
	if r.ID == "" || r.Owner == "" || r.Digest.IsZero() || r.CreatedAt.IsZero() {
		s.called = "insert an invalid record"
	}
	return s.Store.Insert(ctx, r, limit)
}

func (s *recordingStore) Touch(ctx context.Context, uses []store.Use) error {
	s.called = "touch"
	for i := range uses {
		if i > 0 && bytes.Compare(uses[i-1].Digest[:], uses[i].Digest[:]) >= 0 {
			s.called = "touch unsorted uses"
		}
	}
	return s.Store.Touch(ctx, uses)
}

// For any request body, the handler returns a documented status, and calls the
// store with valid arguments only.
func FuzzRequest(f *testing.F) {
	requests, _ := recorded(f)
	for i, q := range requests {
		f.Add(uint8(i), q)
		f.Add(uint8(i), bytes.ToUpper(q))
		f.Add(uint8(i), q[:len(q)/2])
		f.Add(uint8(i), append(bytes.Clone(q), q...))
		f.Add(uint8(i), append([]byte(`{"more":1,`), q[1:]...))
		f.Add(uint8(i), bytes.ReplaceAll(q, []byte(`"o"`), []byte(`"\ud800"`)))
		f.Add(uint8(i), bytes.ReplaceAll(q, []byte(`"o"`), []byte(`null`)))
		f.Add(uint8(i), bytes.ReplaceAll(q, []byte(`"o"`), []byte("\"\xff\"")))
	}
	f.Fuzz(func(t *testing.T, n uint8, request []byte) {
		v := verbs[int(n)%len(verbs)]
		st := &recordingStore{Store: populated(t)}
		h := newHandler(t, st, nil)
		r := httptest.NewRequest("POST", "/v1/"+v.name, bytes.NewReader(request))
		r.Header = http.Header{"Authorization": {bearer(secret)}, "Content-Type": {contentType}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200, 404, 409:
			var again, asked any
			if json.Unmarshal(request, &asked) != nil || !utf8.Valid(request) || strings.Contains(st.called, " ") {
				t.Errorf("%s: %q: got status %d and the store call %s", v.name, request, w.Code, st.called)
			}
			if w.Header().Get("Content-Type") != contentType || json.Unmarshal(w.Body.Bytes(), &again) != nil {
				t.Errorf("%s: %q: got response %q", v.name, request, w.Body)
			}
		case 400, 413:
			if w.Body.Len() > 0 || st.called != "" || !reflect.DeepEqual(contents(t, st), contents(t, populated(t))) {
				t.Errorf("%s: %q was refused, but got the store call %s", v.name, request, st.called)
			}
		default:
			t.Errorf("%s: %q: got status %d", v.name, request, w.Code)
		}
	})
}

func contents(t *testing.T, st store.Store) []store.Record {
	page, err := st.List(t.Context(), store.Query{Owner: "o"})
	if err != nil {
		t.Fatal(err)
	}
	return page.Records
}

// Each folder of fuzz seeds must have the name of a target; otherwise its seeds are
// not run.
func TestFuzzSeedsHaveTargets(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("testdata/fuzz")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.Name() != "FuzzResponse" && folder.Name() != "FuzzRequest" {
			t.Errorf("testdata/fuzz/%s has seeds for no target", folder.Name())
		}
	}
}
