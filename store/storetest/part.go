package storetest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var partRules = []rule{
	{"List of a part has all that is in it and nothing else", partHas},
	{"List of a part has pages as full as one of all", partFull},
	{"List of a part neither repeats nor hides while others insert and revoke", partStable},
	{"List of a part goes on from any place", partFromAnywhere},
	{"List refuses a part that is unknown, or at no instant", partRefused},
}

// always is when a revoked record is over, whenever it was revoked, and the first
// instant of all.
var always = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)

func partHas(t *testing.T, s store.Store) {
	at, over := begin.Add(time.Hour), map[string]time.Time{} // when each record is over; zero is never
	put := func(id string, end time.Time, change func(*store.Record)) store.Record {
		r := fresh("o", numbered(id, len(over)))
		r.CreatedAt = begin.Add(time.Duration(len(over)/2) * time.Second)
		change(&r)
		insert(t, s, r)
		over[r.ID] = end
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
	for _, ends := range []time.Time{begin, at, at.Add(time.Microsecond)} { // a rotation at once, and graces
		old := put("rotated", ends, func(r *store.Record) { r.CreatedAt = begin })
		if ends.Equal(begin) {
			over[old.ID] = always
		}
		if _, _, err := s.Rotate(t.Context(), "o", old.ID, next("of "+old.ID, begin), ends, -1); err != nil {
			t.Fatal(err)
		}
		over["of "+old.ID] = time.Time{}
	}
	revoke(t, s, put("revoked", always, func(*store.Record) {}), begin, "gone")
	theirs := fresh("other", "over")
	theirs.RevokedAt = begin
	insert(t, s, fresh("other", "live"), theirs)

	for _, when := range []time.Time{
		always, begin.Add(-time.Hour), at.Add(-time.Microsecond), at, at.Add(time.Microsecond), at.AddDate(7000, 0, 0),
	} {
		has := map[store.Part][]string{}
		for _, id := range slices.Sorted(maps.Keys(over)) {
			part := store.Live
			if end := over[id]; !end.IsZero() && !when.Before(end) {
				part = store.Over
			}
			has[part], has[store.All] = append(has[part], id), append(has[store.All], id)
		}
		for part, want := range has {
			all := follow(t, s, store.Query{Owner: "o", Part: part, At: when}, func(*store.Query) {})
			if !slices.IsSortedFunc(all, newestFirst) {
				t.Errorf("the part %q is listed from the newest to the oldest: got %q", part, ids(all))
			}
			for _, r := range all {
				if when.Equal(at) { // it is the same at the other instants
					equal(t, r, get(t, s, "o", r.ID), "List and Get agree")
				}
			}
			if got := slices.Sorted(slices.Values(ids(all))); !slices.Equal(got, want) {
				t.Errorf("at %v the part %q has what is neither revoked nor expired, or all else:\n got %q\nwant %q", when, part, got, want)
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

// follow lists page by page. Every page but the last is full, and none follows
// the one that holds the last record.
func follow(t *testing.T, s store.Store, q store.Query, between func(q *store.Query)) (all []store.Record) {
	t.Helper()
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) == 0 && len(all) > 0 {
			t.Error("a page that holds the last record has no next")
		}
		all = append(all, page.Records...)
		if page.Next.IsZero() {
			return all
		}
		if len(page.Records) != q.Size() || page.Next == q.After {
			t.Fatalf("every page but the last has as many records as were asked for: got %d of %d, next %v", len(page.Records), q.Size(), page.Next)
		}
		q.After = page.Next
		between(&q)
	}
}

// mixed inserts records of both parts, and returns the ids of each from the
// newest to the oldest: first some by turns, and then more than a page of the
// part that the owner is named after, which a list passes before it comes to
// the other one.
func mixed(t *testing.T, s store.Store, owner string) map[store.Part][]string {
	t.Helper()
	const some = 24
	has := map[store.Part][]string{}
	for i := range some + store.MaxPage + 1 {
		r, part := fresh(owner, numbered(owner, i)), store.Part(owner)
		r.CreatedAt = begin.Add(time.Duration(i/3) * time.Second)
		if i < some {
			part = []store.Part{store.Live, store.Over}[i%2]
		}
		if part == store.Over {
			r.ExpiresAt = begin.Add(time.Minute)
			if i%3 == 0 {
				r.ExpiresAt, r.RevokedAt = time.Time{}, begin
			}
		}
		insert(t, s, r)
		has[part] = append(has[part], r.ID)
	}
	for _, ids := range has {
		slices.Reverse(ids)
	}
	return has
}

// Both are names of owners as well.
var parts = []store.Part{store.Live, store.Over}

func partFull(t *testing.T, s store.Store) {
	for _, owner := range parts {
		has := mixed(t, s, string(owner))
		for _, part := range parts {
			limits := []int{5, 12, store.MaxPage, 0}
			if part != owner { // the others take too many pages of one
				limits = append(limits, 1)
			}
			for _, limit := range limits {
				q := store.Query{Owner: string(owner), Part: part, At: begin.Add(time.Hour), Limit: limit}
				if got := ids(follow(t, s, q, func(*store.Query) {})); !slices.Equal(got, has[part]) {
					t.Errorf("the part %q among many of %q, in pages of %d:\n got %q\nwant %q", part, owner, limit, got, has[part])
				}
			}
		}
	}
}

// M-15
func partStable(t *testing.T, s store.Store) {
	want := mixed(t, s, "over")[store.Live]
	q := store.Query{Owner: "over", Part: store.Live, At: begin.Add(time.Hour), Limit: 3}
	n := 0
	got := follow(t, s, q, func(q *store.Query) {
		// The record at the place itself is over by now, and so is the one
		// that would come next but one.
		revoke(t, s, store.Record{Owner: "over", ID: q.After.ID}, begin, "gone")
		last := slices.Index(want, q.After.ID)
		if last+2 < len(want) {
			revoke(t, s, store.Record{Owner: "over", ID: want[last+2]}, begin, "gone")
			want = slices.Delete(want, last+2, last+3)
		}
		newer, sameInstant := fresh("over", numbered("n", n)), fresh("over", numbered("z", n))
		newer.CreatedAt, sameInstant.CreatedAt = begin.AddDate(0, 0, 1), q.After.CreatedAt
		insert(t, s, newer, sameInstant)
		q.At = q.At.Add(time.Minute)
		n++
	})
	if got := ids(got); !slices.Equal(got, want) {
		t.Errorf("what is inserted or revoked while pages of a part are walked neither repeats nor hides other records:\n got %q\nwant %q", got, want)
	}
}

func partFromAnywhere(t *testing.T, s store.Store) {
	has := mixed(t, s, "live")
	for _, from := range parts {
		page, err := s.List(t.Context(), store.Query{Owner: "live", Part: from, At: begin.Add(time.Hour), Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		place := page.Next
		for _, part := range parts {
			var want []string
			for _, id := range has[part] {
				if id < place.ID { // they are numbered by age
					want = append(want, id)
				}
			}
			q := store.Query{Owner: "live", Part: part, At: begin.Add(time.Hour), After: place, Limit: 7}
			if got := ids(follow(t, s, q, func(*store.Query) {})); !slices.Equal(got, want) {
				t.Errorf("a cursor of the part %q is a place in the part %q as well:\n got %q\nwant %q", from, part, got, want)
			}
		}
	}
	for _, part := range parts {
		q := store.Query{Owner: "live", Part: part, At: begin, After: store.Cursor{CreatedAt: begin.Add(-time.Hour), ID: "nobody"}}
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Records) != 0 || !page.Next.IsZero() {
			t.Errorf("a cursor behind the oldest record: got %+v, %v, want an empty page", page, err)
		}
	}
}

func partRefused(t *testing.T, s store.Store) {
	over := fresh("o", "over")
	over.RevokedAt = begin
	insert(t, s, fresh("o", "live"), over)
	for _, q := range []store.Query{
		{Part: "dead", At: begin}, {Part: "Live", At: begin}, {Part: "over ", At: begin}, {Part: "\xff", At: begin}, {Part: "dead"},
		{Part: store.Live}, {Part: store.Over},
	} {
		q.Owner = "o"
		page, err := s.List(t.Context(), q)
		if err == nil || isSentinel(err) || len(page.Records) != 0 || !page.Next.IsZero() {
			t.Errorf("the part %q at %v: got %q, %v, want an error that is none of the sentinels", q.Part, q.At, ids(page.Records), err)
		}
	}
}
