package storetest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var filterRules = []rule{
	{"A filtered list has exactly the records that match", filterHas},
	{"A filtered list has full pages, except the last one", filterFull},
	{"A filtered list neither repeats nor omits records during inserts and revocations", filterStable},
	{"A filtered list continues from a cursor of any filter", filterFromAnywhere},
	{"List refuses an unknown filter, and a filter without a time", filterRefused},
}

// always is the first instant. A revoked record has ended at every instant, no matter
// when it was revoked.
var always = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)

func filterHas(t *testing.T, s store.Store) {
	at, endOf := begin.Add(time.Hour), map[string]time.Time{} // the end of each record; zero is never
	put := func(id string, end time.Time, change func(*store.Record)) store.Record {
		r := fresh("o", numbered(id, len(endOf)))
		r.CreatedAt = begin.Add(time.Duration(len(endOf)/2) * time.Second)
		change(&r)
		insert(t, s, r)
		endOf[r.ID] = end
		return r
	}
	for _, expiry := range []time.Time{
		{}, always, at.Add(-time.Microsecond), at, at.Add(time.Microsecond), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		put("ends", expiry, func(r *store.Record) { r.ExpiresAt = expiry })
		put("disabled", expiry, func(r *store.Record) { r.ExpiresAt, r.DisabledAt = expiry, begin })
		put("replaced", expiry, func(r *store.Record) { r.ExpiresAt, r.ReplacedBy = expiry, "next" })
		for _, when := range []time.Time{begin, at, at.Add(time.Hour)} {
			put("revoked", always, func(r *store.Record) { r.ExpiresAt, r.RevokedAt = expiry, when })
		}
	}
	for _, ends := range []time.Time{begin, at, at.Add(time.Microsecond)} { // without and with a grace period
		old := put("rotated", ends, func(r *store.Record) { r.CreatedAt = begin })
		if ends.Equal(begin) {
			endOf[old.ID] = always
		}
		if _, _, err := s.Rotate(t.Context(), "o", old.ID, next("of "+old.ID, begin), ends, -1); err != nil {
			t.Fatal(err)
		}
		endOf["of "+old.ID] = time.Time{}
	}
	revoke(t, s, put("revoked", always, func(*store.Record) {}), begin, "gone")
	theirs := fresh("other", "ended")
	theirs.RevokedAt = begin
	insert(t, s, fresh("other", "current"), theirs)

	for _, when := range []time.Time{
		always, begin.Add(-time.Hour), at.Add(-time.Microsecond), at, at.Add(time.Microsecond), at.AddDate(7000, 0, 0),
	} {
		has := map[store.Filter][]string{}
		for _, id := range slices.Sorted(maps.Keys(endOf)) {
			filter := store.FilterCurrent
			if end := endOf[id]; !end.IsZero() && !when.Before(end) {
				filter = store.FilterEnded
			}
			has[filter], has[store.FilterAll] = append(has[filter], id), append(has[store.FilterAll], id)
		}
		for filter, want := range has {
			all := follow(t, s, store.Query{Owner: "o", Filter: filter, At: when}, func(*store.Query) {})
			if !slices.IsSortedFunc(all, newestFirst) {
				t.Errorf("with the filter %q, a list must go from the newest record to the oldest: got %q", filter, ids(all))
			}
			for _, r := range all {
				if when.Equal(at) { // once is enough
					equal(t, r, get(t, s, "o", r.ID), "List and Get must return the same record")
				}
			}
			if got := slices.Sorted(slices.Values(ids(all))); !slices.Equal(got, want) {
				t.Errorf("at %v the filter %q must select current or ended records:\n got %q\nwant %q", when, filter, got, want)
			}
		}
	}
}

func newestFirst(a, b store.Record) int {
	if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}

// follow lists page by page and calls between before each further page. It checks
// that every page but the last is full and continues after the one before, and that
// no page follows the one with the last record.
func follow(t *testing.T, s store.Store, q store.Query, between func(q *store.Query)) (all []store.Record) {
	t.Helper()
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) == 0 && len(all) > 0 {
			t.Error("the page with the last record must have no Next")
		}
		all = append(all, page.Records...)
		if page.Next.IsZero() {
			return all
		}
		if len(page.Records) != q.PageSize() {
			t.Fatalf("every page but the last must have as many records as the limit: got %d of %d, next %v", len(page.Records), q.PageSize(), page.Next)
		}
		if !q.After.IsZero() && newestFirst(placed(q.After), placed(page.Next)) >= 0 {
			t.Fatalf("every page must continue after the one before: got %v after %v", page.Next, q.After)
		}
		q.After = page.Next
		between(&q)
	}
}

// placed returns a record at a place in a list.
func placed(c store.Cursor) store.Record { return store.Record{CreatedAt: c.CreatedAt, ID: c.ID} }

// mixed inserts records of both filters, and returns the IDs of each, newest first.
// The oldest records belong to the filters in turn. The owner has the name of a filter. The
// newest records fill more than a page and match that filter, so a list with the other filter
// must skip them. Two current records are even newer, so that a list of current records must also
// continue from a cursor that precedes the skipped records.
func mixed(t *testing.T, s store.Store, owner string) map[store.Filter][]string {
	t.Helper()
	const some = 24
	has := map[store.Filter][]string{}
	for i := range some + store.MaxPage + 3 {
		r, filter := fresh(owner, numbered(owner, i)), store.Filter(owner)
		r.CreatedAt = begin.Add(time.Duration(i/3) * time.Second)
		switch {
		case i < some:
			filter = []store.Filter{store.FilterCurrent, store.FilterEnded}[i%2]
		case i > some+store.MaxPage:
			filter = store.FilterCurrent
		}
		switch {
		case filter == store.FilterCurrent && i%4 < 2: // the others never expire
			r.ExpiresAt = begin.AddDate(1, 0, i)
		case filter == store.FilterEnded:
			r.ExpiresAt = begin.Add(time.Minute)
			if i%3 == 0 {
				r.ExpiresAt, r.RevokedAt = time.Time{}, begin
			}
		}
		insert(t, s, r)
		has[filter] = append(has[filter], r.ID)
	}
	for _, ids := range has {
		slices.Reverse(ids)
	}
	return has
}

// filters lists the filters. Their names are also the names of owners.
var filters = []store.Filter{store.FilterCurrent, store.FilterEnded}

func filterFull(t *testing.T, s store.Store) {
	for _, owner := range filters {
		has := mixed(t, s, string(owner))
		for _, filter := range filters {
			limits := []int{5, 10, 12, store.MaxPage, 0}
			if filter != owner { // the other filter would need too many pages of one record
				limits = append(limits, 1)
			}
			for _, limit := range limits {
				at := begin.Add(time.Minute) // the instant at which records expire
				q := store.Query{Owner: string(owner), Filter: filter, At: at, Limit: limit}
				if got := ids(follow(t, s, q, func(*store.Query) {})); !slices.Equal(got, has[filter]) {
					t.Errorf("the filter %q among many records of %q, in pages of %d:\n got %q\nwant %q", filter, owner, limit, got, has[filter])
				}
			}
		}
	}
}

// M-15
func filterStable(t *testing.T, s store.Store) {
	want := mixed(t, s, "ended")[store.FilterCurrent]
	q := store.Query{Owner: "ended", Filter: store.FilterCurrent, At: begin.Add(time.Hour), Limit: 3}
	n := 0
	got := follow(t, s, q, func(q *store.Query) {
		// Revoke the record that the cursor names, and the second record after it.
		revoke(t, s, store.Record{Owner: "ended", ID: q.After.ID}, begin, "gone")
		last := slices.Index(want, q.After.ID)
		if last+2 < len(want) {
			revoke(t, s, store.Record{Owner: "ended", ID: want[last+2]}, begin, "gone")
			want = slices.Delete(want, last+2, last+3)
		}
		newer, sameInstant := fresh("ended", numbered("n", n)), fresh("ended", numbered("z", n))
		newer.CreatedAt, sameInstant.CreatedAt = begin.AddDate(0, 0, 1), q.After.CreatedAt
		insert(t, s, newer, sameInstant)
		q.At = q.At.Add(time.Minute)
		n++
	})
	if got := ids(got); !slices.Equal(got, want) {
		t.Errorf("records that are inserted or revoked between two pages must not repeat or omit others:\n got %q\nwant %q", got, want)
	}
}

func filterFromAnywhere(t *testing.T, s store.Store) {
	has := mixed(t, s, "current")
	for _, from := range filters {
		page, err := s.List(t.Context(), store.Query{Owner: "current", Filter: from, At: begin.Add(time.Hour), Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		place := page.Next
		for _, filter := range filters {
			var want []string
			for _, id := range has[filter] {
				if id < place.ID { // records are numbered by age
					want = append(want, id)
				}
			}
			q := store.Query{Owner: "current", Filter: filter, At: begin.Add(time.Hour), After: place, Limit: 7}
			if got := ids(follow(t, s, q, func(*store.Query) {})); !slices.Equal(got, want) {
				t.Errorf("a cursor of the filter %q must be valid with the filter %q:\n got %q\nwant %q", from, filter, got, want)
			}
		}
	}
	for _, filter := range filters {
		q := store.Query{Owner: "current", Filter: filter, At: begin, After: store.Cursor{CreatedAt: begin.Add(-time.Hour), ID: "nobody"}}
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Records) != 0 || !page.Next.IsZero() {
			t.Errorf("a cursor after the oldest record: got %+v, %v, want an empty page", page, err)
		}
	}
}

func filterRefused(t *testing.T, s store.Store) {
	ended := fresh("o", "ended")
	ended.RevokedAt = begin
	insert(t, s, fresh("o", "current"), ended)
	for _, q := range []store.Query{
		{Filter: "dead", At: begin}, {Filter: "Live", At: begin}, {Filter: "over ", At: begin}, {Filter: "\xff", At: begin}, {Filter: "dead"},
		{Filter: store.FilterCurrent}, {Filter: store.FilterEnded},
	} {
		q.Owner = "o"
		page, err := s.List(t.Context(), q)
		if err == nil || isSentinel(err) || len(page.Records) != 0 || !page.Next.IsZero() {
			t.Errorf("the filter %q at %v: got %q, %v, want an error that is none of the sentinels", q.Filter, q.At, ids(page.Records), err)
		}
	}
}
