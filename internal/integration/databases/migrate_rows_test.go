package databases_test

import (
	"database/sql"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// rowsOfVersion1 returns keys of one owner in every state, an hour after the epoch. In version 1 a
// key could be rotated again while its predecessor still worked.
func rowsOfVersion1() []store.Record {
	made := func(id string, change func(*store.Record)) store.Record {
		r := record("o", id)
		change(&r)
		return r
	}
	at := epoch.Add(time.Hour)
	replaced := func(id, by string, ends time.Time) store.Record {
		return made(id, func(r *store.Record) { r.ReplacedBy, r.ExpiresAt = by, ends })
	}
	plain := func(id string) store.Record { return made(id, func(*store.Record) {}) }
	return []store.Record{
		made("active", func(r *store.Record) { r.LastUsedAt = at.Add(-time.Minute) }),               // counts
		made("ending", func(r *store.Record) { r.ExpiresAt = at.Add(time.Hour) }),                   // counts
		made("disabled", func(r *store.Record) { r.DisabledAt = epoch.Add(time.Second) }),           // counts
		made("expired", func(r *store.Record) { r.ExpiresAt = at }),                                 //
		made("revoked", func(r *store.Record) { r.RevokedAt, r.RevokeReason = at, "leaked" }),       //
		made("both", func(r *store.Record) { r.RevokedAt, r.ExpiresAt = at, at.Add(-time.Minute) }), //

		replaced("in grace", "successor", at.Add(time.Minute)), // does not count
		plain("successor"), // counts

		replaced("grandparent", "parent", at.Add(time.Hour)), // counts
		replaced("parent", "child", at.Add(time.Hour)),       // does not count
		plain("child"), // counts

		replaced("orphan", "revoked child", at.Add(time.Hour)),                                  // counts
		made("revoked child", func(r *store.Record) { r.RevokedAt = at }),                       //
		replaced("widow", "expired child", at.Add(time.Hour)),                                   // counts
		made("expired child", func(r *store.Record) { r.ExpiresAt = at }),                       //
		replaced("grace has ended", "heir", at),                                                 //
		plain("heir"),                                                                           // counts
		made("ended at once", func(r *store.Record) { r.ReplacedBy, r.RevokedAt = "heir", at }), //
	}
}

// M-17, R-16: the rows of version 1 are unchanged, and the limit counts them by the current rules.
func TestMigrateKeepsTheRowsOfVersion1(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			dsn := d.dsn(t)
			old := openVersion1(t, d, dsn)
			rows := rowsOfVersion1()
			for _, r := range rows {
				if err := old.write(t.Context(), r.Owner, func(tx *sql.Tx) error { return old.insert(t.Context(), tx, r) }); err != nil {
					t.Fatal(err)
				}
			}
			s := sqlStore(t, d.dialect, old.db)
			readsRows(t, s, rows)
			const counted = 9 // marked in rowsOfVersion1
			at := epoch.Add(time.Hour)
			for after, want := range map[time.Duration]int{0: counted, time.Minute: counted, time.Hour: 5} {
				if n, err := s.Count(t.Context(), "o", at.Add(after)); n != want || err != nil {
					t.Errorf("Count %v later: got %d, %v, want %d", after, n, err, want)
				}
			}
			limitCountsRows(t, s, at, counted)
		})
	}
}

func readsRows(t *testing.T, s store.Store, rows []store.Record) {
	t.Helper()
	for _, r := range rows {
		if got, err := s.Lookup(t.Context(), r.Digest); !reflect.DeepEqual(got, r) || err != nil {
			t.Errorf("Lookup(%s): got %+v, %v, want %+v", r.ID, got, err, r)
		}
		if got, err := s.Get(t.Context(), "o", r.ID); !reflect.DeepEqual(got, r) || err != nil {
			t.Errorf("Get(%s): got %+v, %v, want %+v", r.ID, got, err, r)
		}
	}
	for _, part := range []store.Filter{store.FilterAll, store.FilterCurrent, store.FilterEnded} {
		q := store.Query{Owner: "o", Filter: part, At: epoch.Add(time.Hour)}
		want := slices.DeleteFunc(slices.Clone(rows), func(r store.Record) bool { return !q.Matches(r) })
		slices.SortFunc(want, func(a, b store.Record) int { return strings.Compare(b.ID, a.ID) })
		if page, err := s.List(t.Context(), q); !reflect.DeepEqual(page.Records, want) || err != nil {
			t.Errorf("List with filter %q: got %+v, %v, want %+v", part, page.Records, err, want)
		}
	}
}

// limitCountsRows creates keys in addition to those of version 1.
func limitCountsRows(t *testing.T, s store.Store, at time.Time, counted int) {
	t.Helper()
	ctx, fresh := t.Context(), record("o", "fresh")
	fresh.CreatedAt = at
	if err := s.Insert(ctx, fresh, counted); !errors.Is(err, store.ErrLimit) {
		t.Errorf("Insert at the limit: got %v, want %v", err, store.ErrLimit)
	}
	next := record("", "next")
	next.CreatedAt = at
	// Its predecessor would count too.
	if _, _, err := s.Rotate(ctx, "o", "child", next, at.Add(time.Hour), counted); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Rotate at the limit with a grace period: got %v, want %v", err, store.ErrConflict)
	}
	if _, _, err := s.Rotate(ctx, "o", "active", next, at.Add(time.Hour), counted); err != nil {
		t.Errorf("Rotate of a key without a predecessor: %v", err)
	}
	if err := s.Insert(ctx, fresh, counted+1); err != nil {
		t.Errorf("Insert below the limit: %v", err)
	}
}
