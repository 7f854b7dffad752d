package storetest

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var listRules = []rule{
	{"List of an owner without records is empty", listEmpty},
	{"List returns records from the newest to the oldest", listOrder},
	{"List returns at most 100 records at once", listBounds},
	{"The page with the last record has no cursor", listEnds},
	{"List neither repeats nor omits records during inserts", listStable},
	{"List continues from a cursor that names no record", listFromNowhere},
}

func listEmpty(t *testing.T, s store.Store) {
	insert(t, s, fresh("other", "k"))
	page, err := s.List(t.Context(), store.Query{Owner: "o"})
	if err != nil || len(page.Records) != 0 || !page.Next.IsZero() {
		t.Errorf("got %+v, %v, want an empty page", page, err)
	}
}

// walk lists page by page.
func walk(t *testing.T, s store.Store, limit int, between func()) (all []store.Record) {
	t.Helper()
	for q := (store.Query{Owner: "o", Limit: limit}); ; {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Records...)
		if page.Next.IsZero() {
			return all
		}
		if len(page.Records) == 0 || page.Next == q.After {
			t.Fatalf("every page but the last must have records: got %+v", page)
		}
		q.After = page.Next
		between()
	}
}

func listOrder(t *testing.T, s store.Store) {
	var want []string
	// Some collations do not sort these IDs by their bytes.
	for minute, same := range [][]string{{"k0", "k1"}, {"A", "B", "Z", "_", "a", "b", "z"}, {"m10", "m9"}} {
		for i, id := range same {
			r := fresh("o", id)
			r.CreatedAt = begin.Add(time.Duration(minute) * time.Minute)
			switch i { // the state must not matter
			case 0:
				r.DisabledAt = begin
			case 1:
				r.ExpiresAt = begin
			}
			insert(t, s, r)
			want = append(want, id)
		}
		insert(t, s, fresh("other", numbered("x", minute)))
	}
	r := fresh("o", "microsecond")
	r.CreatedAt = begin.Add(time.Minute + time.Microsecond)
	insert(t, s, r)
	want = slices.Insert(want, 9, r.ID)
	revoke(t, s, fresh("o", "k1"), begin, "gone")
	slices.Reverse(want)
	for limit := range len(want) + 2 {
		if got := ids(walk(t, s, limit, func() {})); !slices.Equal(got, want) {
			t.Errorf("records must be sorted by CreatedAt and then by ID, newest first; with pages of %d: got %q, want %q", limit, got, want)
		}
	}
	for _, r := range walk(t, s, store.MaxPage, func() {}) {
		equal(t, r, get(t, s, "o", r.ID), "List and Get must return the same record")
	}
}

func listBounds(t *testing.T, s store.Store) {
	for i := range store.MaxPage + 1 {
		insert(t, s, fresh("o", numbered("k", i)))
	}
	for limit, want := range map[int]int{1: 1, 99: 99, 100: 100, 101: 100, math.MaxInt32: 100, 0: 100, -1: 100, math.MinInt32: 100} {
		page, err := s.List(t.Context(), store.Query{Owner: "o", Limit: limit})
		if err != nil || len(page.Records) != want || page.Next.IsZero() {
			t.Errorf("a page with limit %d: got %d records, next %v, %v, want %d and a next", limit, len(page.Records), page.Next, err, want)
		}
	}
}

func listEnds(t *testing.T, s store.Store) {
	insert(t, s, fresh("o", "k1"), fresh("o", "k2"))
	page, err := s.List(t.Context(), store.Query{Owner: "o", Limit: 2})
	if err != nil || len(page.Records) != 2 || !page.Next.IsZero() {
		t.Errorf("the page with the last record must have no Next: got %+v, %v", page, err)
	}
	if got := walk(t, s, 1, func() {}); len(got) != 2 {
		t.Errorf("pages of one record: got %q, want both records", ids(got))
	}
}

// M-15
func listStable(t *testing.T, s store.Store) {
	var want []string
	for i := range 20 {
		r := fresh("o", numbered("k", i))
		r.CreatedAt = begin.Add(time.Duration(i/2) * time.Second)
		insert(t, s, r)
		want = append(want, r.ID)
	}
	slices.Reverse(want)
	n := 0
	got := walk(t, s, 3, func() {
		newer, sameInstant := fresh("o", numbered("n", n)), fresh("o", numbered("z", n))
		newer.CreatedAt = begin.Add(time.Hour + time.Duration(n))
		sameInstant.CreatedAt = begin.Add(9 * time.Second)
		insert(t, s, newer, sameInstant)
		n++
	})
	if got := ids(got); !slices.Equal(got, want) {
		t.Errorf("records inserted between two pages must not repeat or omit older ones:\n got %q\nwant %q", got, want)
	}
}

func listFromNowhere(t *testing.T, s store.Store) {
	for i := range 4 {
		r := fresh("o", numbered("k", i))
		r.CreatedAt = begin.Add(time.Duration(i) * time.Second)
		insert(t, s, r)
	}
	page, err := s.List(t.Context(), store.Query{Owner: "o", After: store.Cursor{CreatedAt: begin.Add(1500 * time.Millisecond), ID: "nobody"}})
	if got := ids(page.Records); err != nil || !slices.Equal(got, []string{"k001", "k000"}) {
		t.Errorf("a list must continue with the records older than the cursor: got %q, %v", got, err)
	}
	page, err = s.List(t.Context(), store.Query{Owner: "o", After: store.Cursor{CreatedAt: begin.Add(-time.Hour), ID: "nobody"}})
	if err != nil || len(page.Records) != 0 || !page.Next.IsZero() {
		t.Errorf("a cursor after the oldest record: got %+v, %v, want an empty page", page, err)
	}
}
