package remotestore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
	"github.com/keyhatch/keyhatch/store/remotestore"
)

var filters = []store.Filter{store.FilterCurrent, store.FilterEnded}

// newMixedStore returns a store with two records: a is active, b is revoked.
func newMixedStore(t testing.TB) *memstore.Store {
	t.Helper()
	st := populated(t)
	if _, _, err := st.Revoke(context.Background(), "o", "b", begin, "gone"); err != nil {
		t.Fatal(err)
	}
	return st
}

// sendQuery returns the request that a Store sends for a query, and its result.
func sendQuery(t *testing.T, h http.Handler, q store.Query) (request string, page store.Page, err error) {
	t.Helper()
	s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		request = string(b)
		r.Body = io.NopCloser(bytes.NewReader(b))
		h.ServeHTTP(w, r)
	})), nil)
	page, err = s.List(t.Context(), q)
	return request, page, err
}

// A request for all records has the form that services without filters accept.
func TestFilteredRequests(t *testing.T) {
	t.Parallel()
	h := newHandler(t, newMixedStore(t), nil)
	for _, c := range []struct {
		q    store.Query
		want string
		ids  string
	}{
		{store.Query{Owner: "o"}, `{"owner":"o","limit":0}`, "a b"},
		{store.Query{Owner: "o", At: begin}, `{"owner":"o","limit":0}`, "a b"},
		{store.Query{Owner: "o", Filter: store.FilterCurrent, At: begin}, `{"owner":"o","limit":0,"filter":"current","at":1772368215123456}`, "a"},
		{store.Query{Owner: "o", Filter: store.FilterEnded, At: begin.Add(999), Limit: 7}, `{"owner":"o","limit":7,"filter":"ended","at":1772368215123456}`, "b"},
	} {
		request, page, err := sendQuery(t, h, c.q)
		var ids []string
		for _, r := range page.Records {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); request != c.want || got != c.ids || err != nil {
			t.Errorf("%+v: got request %s, records %q, error %v, want %s, %q", c.q, request, got, err, c.want, c.ids)
		}
	}
}

// olderRequest is a list request of services that do not know filters.
type olderRequest struct {
	Owner string `json:"owner"`
	After *struct {
		CreatedAt int64  `json:"created_at"`
		ID        string `json:"id"`
	} `json:"after,omitempty"`
	Limit int `json:"limit"`
}

// A service that does not know filters returns 400 for a request with one, as for any
// unknown field. If a service ignores unknown fields, which no version of this
// package does, the client detects it.
func TestServiceWithoutFilters(t *testing.T) {
	t.Parallel()
	h := newHandler(t, newMixedStore(t), nil)
	for name, lenient := range map[string]bool{"strict": false, "lenient": true} {
		older := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request, _ := io.ReadAll(r.Body)
			var q olderRequest
			err := json.Unmarshal(request, &q)
			again, _ := json.Marshal(q)
			if err != nil || !lenient && !bytes.Equal(again, request) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(again)), int64(len(again))
			h.ServeHTTP(w, r)
		})
		for _, filter := range filters {
			_, page, err := sendQuery(t, older, store.Query{Owner: "o", Filter: filter, At: begin})
			outage(t, page.Records, err)
			if !page.Next.IsZero() {
				t.Errorf("%s: got the cursor %v with the error, want none", name, page.Next)
			}
		}
		after := store.Cursor{CreatedAt: begin.Add(time.Hour), ID: "z"}
		if _, page, err := sendQuery(t, older, store.Query{Owner: "o", After: after}); len(page.Records) != 2 || err != nil {
			t.Errorf("%s: list of all records: got %+v, %v, want two records", name, page, err)
		}
	}
}

// a record that does not match the filter is refused, and an invalid query is not sent.
func TestForgedFilteredLists(t *testing.T) {
	t.Parallel()
	current, ended := fresh("o", "a"), fresh("o", "b")
	ended.ExpiresAt = begin
	for _, filter := range filters {
		for _, records := range [][]store.Record{{current}, {ended}} {
			h := newHandler(t, &fixedStore{page: store.Page{Records: records}}, nil)
			_, page, err := sendQuery(t, h, store.Query{Owner: "o", Filter: filter, At: begin})
			if good := (records[0].ID == "a") == (filter == store.FilterCurrent); good {
				if err != nil || len(page.Records) != 1 {
					t.Errorf("filter %q, response with %s: got %+v, %v", filter, records[0].ID, page, err)
				}
				continue
			}
			outage(t, page.Records, err)
		}
	}
	s := newStore(t, "http://localhost", &remotestore.Options{Transport: transport(func(*http.Request) *http.Response {
		t.Error("the client sent a request")
		return &http.Response{StatusCode: 500, Body: http.NoBody}
	})})
	for _, q := range []store.Query{
		{Filter: "dead", At: begin}, {Filter: store.FilterCurrent}, {Filter: store.FilterEnded, At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		q.Owner = "o"
		page, err := s.List(t.Context(), q)
		outage(t, page.Records, err)
		if err == nil || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("%+v: got %v, want an error that says that nothing was sent", q, err)
		}
	}
}
