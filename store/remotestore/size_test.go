package remotestore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/memstore"
)

// largest returns a record whose fields have the maximum size that a Manager
// allows, filled with characters that JSON escapes with six bytes.
func largest(id string) store.Record {
	r := fresh(strings.Repeat("<", 255), id)
	r.Name, r.CreatedBy, r.RevokeReason = strings.Repeat("\u2028", 64), r.Owner, r.Owner
	r.Hint, r.ReplacedBy = strings.Repeat("<", 16), strings.Repeat("x", 64)
	r.Scopes = nil
	for range 32 {
		r.Scopes = append(r.Scopes, strings.Repeat("&", 64))
	}
	// Short names without values have the most quotes and commas in 4 KiB.
	r.Metadata = map[string]string{}
	for n := range 2 << 10 {
		r.Metadata[string([]byte{'<' + byte(n%64), '&' + byte(n/64)})] = ""
	}
	return r
}

func TestLargestRecords(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	s := newStore(t, serve(t, newHandler(t, st, nil)), nil)
	one := largest("one")
	insert(t, s, one)
	if got, err := s.Lookup(t.Context(), one.Digest); err != nil || len(got.Metadata) != len(one.Metadata) {
		t.Fatalf("names in the metadata: got %d of %d, %v", len(got.Metadata), len(one.Metadata), err)
	}
	for i := range store.MaxPage {
		insert(t, st, largest(fmt.Sprint("k", i)))
	}
	page, err := s.List(t.Context(), store.Query{Owner: one.Owner})
	if err != nil || len(page.Records) != store.MaxPage || page.Next.IsZero() {
		t.Errorf("got %d records, %v, want a full page and more", len(page.Records), err)
	}
	if _, err := s.Update(t.Context(), one.Owner, "one", store.Change{Metadata: one.Metadata, Scopes: one.Scopes}); err != nil {
		t.Errorf("update: %v", err)
	}
	fresh := largest("two")
	fresh.ReplacedBy = ""
	insert(t, s, fresh)
	if _, _, err := s.Rotate(t.Context(), fresh.Owner, "two", next("n"), begin, -1); err != nil {
		t.Errorf("rotate: %v", err)
	}
}

// A batchStore keeps the batches that it receives.
type batchStore struct {
	*memstore.Store
	batches [][]store.Use
	fail    int   // number of the batch that fails, from 1
	err     error // the error of that batch
}

func (s *batchStore) Touch(_ context.Context, uses []store.Use) error {
	if s.batches = append(s.batches, uses); len(s.batches) == s.fail {
		return s.err
	}
	return nil
}

func TestTouchSendsBatchesInOrder(t *testing.T) {
	t.Parallel()
	var uses []store.Use
	for i := range 2500 {
		var d store.Digest
		d[0], d[1] = byte(i>>8), byte(i)
		uses = append(uses, store.Use{Digest: d, At: begin.Add(time.Duration(i) * time.Second)})
	}
	for n, want := range map[int][]int{0: nil, 1: {1}, 999: {999}, 1000: {1000}, 1001: {1000, 1}, 2500: {1000, 1000, 500}} {
		st := &batchStore{}
		if err := newStore(t, serve(t, newHandler(t, st, nil)), nil).Touch(t.Context(), uses[:n]); err != nil {
			t.Errorf("%d uses: %v", n, err)
		}
		var sizes []int
		for _, b := range st.batches {
			sizes = append(sizes, len(b))
		}
		if !slices.Equal(sizes, want) || !slices.Equal(slices.Concat(st.batches...), uses[:n]) {
			t.Errorf("%d uses: got batches of %v, want %v, in order", n, sizes, want)
		}
	}
	for _, failure := range []error{http.ErrServerClosed, store.ErrBusy} { // the first batch was written
		st := &batchStore{fail: 2, err: failure}
		err := newStore(t, serve(t, newHandler(t, st, nil)), nil).Touch(t.Context(), uses)
		outage(t, nil, err)
		if len(st.batches) != 2 {
			t.Errorf("got %d batches, want 2: none is sent after one that failed", len(st.batches))
		}
	}
}

// M-12: if RevokeAll cannot return all records, it returns an error although they
// are revoked.
func TestRevokeAllOfTooMany(t *testing.T) {
	t.Parallel()
	const n = 3 // records of 22 MiB each
	st := memstore.New()
	for i := range n {
		r := fresh("o", fmt.Sprint("k", i))
		r.Metadata = map[string]string{"x": strings.Repeat("x", 22<<20)}
		insert(t, st, r)
	}
	status := 0
	h := newHandler(t, st, nil)
	s := newStore(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		status = rec.Code
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	})), nil)
	got, err := s.RevokeAll(t.Context(), "o", begin, "closed")
	outage(t, got, err)
	if status != 503 {
		t.Errorf("got status %d, want 503", status)
	}
	for i := range n {
		if r, err := st.Get(t.Context(), "o", fmt.Sprint("k", i)); err != nil || r.RevokedAt.IsZero() {
			t.Errorf("record %d: got the error %v, want a revoked record", i, err)
		}
	}
}

func TestRevokeAllOfMany(t *testing.T) {
	t.Parallel()
	const n = 2*store.RevokeBatch + 1
	st := memstore.New()
	for i := range n {
		insert(t, st, fresh("o", fmt.Sprint("k", i)))
	}
	s := newStore(t, serve(t, newHandler(t, st, nil)), nil)
	for _, want := range []int{store.RevokeBatch, store.RevokeBatch, 1, 0} {
		if all, err := s.RevokeAll(t.Context(), "o", begin, "closed"); err != nil || len(all) != want {
			t.Errorf("got %d records, %v, want %d", len(all), err, want)
		}
	}
}
