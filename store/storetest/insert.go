package storetest

import (
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

var insertRules = []rule{
	{"Insert stores every field", insertKeepsFields},
	{"Insert stores strings byte for byte", insertKeepsOddTexts},
	{"Insert stores times of the years 1 to 9999 to the microsecond", insertKeepsTimes},
	{"Insert returns ErrDuplicate if the digest or the ID is taken", insertRefusesDuplicates},
	{"Insert counts exactly the records that count against the limit", insertCounts},
	{"Insert counts only the owner's own records", insertCountsOwners},
	{"A negative limit means no limit", insertUnlimited},
	{"Insert returns ErrDuplicate rather than ErrLimit", insertRepeatedAtLimit},
	{"Records share no slice or map with the caller", insertCopies},
}

func insertKeepsFields(t *testing.T, s store.Store) {
	r := fresh("o", "k")
	r.ExpiresAt, r.DisabledAt = begin.Add(time.Hour), begin.Add(time.Second)
	r.LastUsedAt = begin.Add(2 * time.Second)
	insert(t, s, r)
	holds(t, s, r, "Insert must store every field as given")

	bare := store.Record{ID: "bare", Owner: "o", Digest: digest("bare"), CreatedAt: begin}
	insert(t, s, bare)
	holds(t, s, bare, "optional fields may be empty, and zero times must stay zero")

	ended := fresh("o", "ended")
	ended.RevokedAt, ended.RevokeReason, ended.ReplacedBy = begin, "leaked", "k"
	insert(t, s, ended)
	holds(t, s, ended, "Insert must accept a record in any state")
}

func insertKeepsOddTexts(t *testing.T, s store.Store) {
	for i, text := range []string{
		" spaced ", "tab\tand\nline", "'; DROP TABLE keys; --", `"quoted" \back\slash`, "%like_", "日本語🔑",
		"e\u0301 is not \u00e9", "<script>", "{}", "null", "\u2028", "?", "$1", ":name", "@p1",
	} {
		r := fresh("o"+text, numbered("k", i))
		r.Name, r.CreatedBy, r.Hint = text, text, "hint"
		r.Metadata = map[string]string{text: text}
		insert(t, s, r)
		holds(t, s, r, "strings must be stored byte for byte")
	}
}

func insertKeepsTimes(t *testing.T, s store.Store) {
	for i, at := range []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Unix(0, 0).UTC(),
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		r := fresh("o", numbered("k", i))
		r.ExpiresAt, r.DisabledAt = at, at
		insert(t, s, r)
		holds(t, s, r, "times must be stored to the microsecond")
	}
	r := fresh("o", "zoned")
	r.ExpiresAt = begin.Add(time.Hour).In(time.FixedZone("east", 3600))
	insert(t, s, r)
	r.ExpiresAt = r.ExpiresAt.UTC()
	holds(t, s, r, "times must be returned in UTC")
}

func insertRefusesDuplicates(t *testing.T, s store.Store) {
	first := fresh("o", "k")
	insert(t, s, first)
	for _, owner := range []string{"o", "other"} {
		digestTaken := fresh(owner, "new")
		digestTaken.Digest = first.Digest
		wants(t, s.Insert(t.Context(), digestTaken, -1), store.ErrDuplicate, "a digest must be unique among all owners")
		_, err := s.Get(t.Context(), owner, "new")
		wants(t, err, store.ErrNotFound, "a refused record must not be stored")

		idTaken := fresh(owner, "k")
		idTaken.Digest = digest("new")
		wants(t, s.Insert(t.Context(), idTaken, -1), store.ErrDuplicate, "an ID must be unique among all owners")
		_, err = s.Lookup(t.Context(), idTaken.Digest)
		wants(t, err, store.ErrNotFound, "a refused record must not be stored")
	}
	revoke(t, s, first, begin, "gone")
	again := fresh("o", "again")
	again.Digest = first.Digest
	wants(t, s.Insert(t.Context(), again, -1), store.ErrDuplicate, "a revoked record's digest must stay taken")
}

func insertCounts(t *testing.T, s store.Store) {
	active, disabled, expired, revoked := fresh("o", "active"), fresh("o", "disabled"), fresh("o", "expired"), fresh("o", "revoked")
	disabled.DisabledAt = begin
	expired.ExpiresAt = begin.Add(time.Minute)
	insert(t, s, active, disabled, expired, revoked)
	revoke(t, s, revoked, begin, "gone")
	if _, _, err := s.Rotate(t.Context(), "o", "active", next("next", begin), begin.Add(time.Hour), -1); err != nil {
		t.Fatal(err)
	}
	try := func(id string, at time.Time, limit int, want error, rule string) {
		t.Helper()
		r := fresh("o", id)
		r.CreatedAt = at
		wants(t, s.Insert(t.Context(), r, limit), want, rule)
		if want != nil {
			_, err := s.Lookup(t.Context(), r.Digest)
			wants(t, err, store.ErrNotFound, "a refused record must not be stored")
		}
	}
	before, expiry := begin.Add(time.Minute-time.Microsecond), begin.Add(time.Minute)
	counts(t, s, "o", before, 3, "disabled records, successors and records about to expire must count")
	counts(t, s, "o", expiry, 2, "revoked, replaced and expired records must not count, starting at the instant of expiry")
	try("a", before, 0, store.ErrLimit, "a limit of 0 must refuse every record")
	try("b", before, 3, store.ErrLimit, "disabled records, successors and records about to expire must count")
	try("c", expiry, 2, store.ErrLimit, "a disabled record and a successor must count")
	try("d", expiry, 3, nil, "revoked, replaced and expired records must not count, starting at the instant of expiry")
	try("e", expiry, 3, store.ErrLimit, "a new record must count")
}

func insertCountsOwners(t *testing.T, s store.Store) {
	// Some collations consider these equal.
	for i, owner := range []string{"o", "O", "o ", " o", "ö", "o\u0308", "0", "%"} {
		if err := s.Insert(t.Context(), fresh(owner, numbered("k", i)), 1); err != nil {
			t.Errorf("another owner's records must not count: owner %q: %v", owner, err)
		}
		counts(t, s, owner, begin, 1, "another owner's records must not count")
	}
}

func insertUnlimited(t *testing.T, s store.Store) {
	const n = store.MaxPage + 1
	for i := range n {
		if err := s.Insert(t.Context(), fresh("o", numbered("k", i)), -1-i); err != nil {
			t.Fatalf("a negative limit must mean no limit: record %d: %v", i, err)
		}
	}
	counts(t, s, "o", begin, n, "an owner may have more records than fit on one page")
	counts(t, s, "nobody", begin, 0, "the count of an owner without records must be 0")
	wants(t, s.Insert(t.Context(), fresh("o", "more"), n), store.ErrLimit, "a limit may allow more records than fit on one page")
	wants(t, s.Insert(t.Context(), fresh("o", "more"), n+1), nil, "a limit may allow more records than fit on one page")
}

func insertRepeatedAtLimit(t *testing.T, s store.Store) {
	r := fresh("o", "k")
	wants(t, s.Insert(t.Context(), r, 1), nil, "the first record is below the limit")
	wants(t, s.Insert(t.Context(), r, 1), store.ErrDuplicate, "Insert must check for duplicates before the limit")
}

func insertCopies(t *testing.T, s store.Store) {
	r := fresh("o", "k")
	insert(t, s, r)
	want := r.Clone()
	spoil := func(r store.Record) {
		if len(r.Scopes) > 0 {
			r.Scopes[0] = "spoilt"
		}
		if r.Metadata != nil {
			r.Metadata["env"] = "spoilt"
		}
	}
	spoil(r)
	holds(t, s, want, "a store must copy the slices and maps that it receives")
	got, _ := s.Lookup(t.Context(), want.Digest)
	spoil(got)
	spoil(get(t, s, "o", "k"))
	page, _ := s.List(t.Context(), store.Query{Owner: "o"})
	for _, r := range page.Records {
		spoil(r)
	}
	holds(t, s, want, "a store must copy the slices and maps that it returns")

	change := store.Change{At: begin, Scopes: []string{"a"}, Metadata: map[string]string{"env": "a"}}
	want.Scopes, want.Metadata = []string{"a"}, map[string]string{"env": "a"}
	updated := update(t, s, want, change)
	change.Scopes[0], change.Metadata["env"] = "spoilt", "spoilt"
	spoil(updated)
	holds(t, s, want, "Update must share no slice or map with its caller")

	old, now, err := s.Rotate(t.Context(), "o", "k", next("n", begin), begin.Add(time.Hour), -1)
	if err != nil {
		t.Fatal(err)
	}
	keptOld, keptNow := old.Clone(), now.Clone()
	spoil(old)
	spoil(now)
	holds(t, s, keptOld, "Rotate must share no slice or map with its caller")
	holds(t, s, keptNow, "Rotate must share no slice or map with its caller, and none between the two records")
	all, err := s.RevokeAll(t.Context(), "o", begin, "gone")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		kept := r.Clone()
		spoil(r)
		holds(t, s, kept, "RevokeAll must share no slice or map with its caller")
	}
}
