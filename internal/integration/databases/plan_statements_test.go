package databases_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// planRows is the number of rows in the table whose query plans are tested. With fewer rows, reading the whole table can be the
// better plan.
var planRows = testkit.Scale(30_000, 100_000)

// allStatements is the number of statements that a Store has. If a new one is added, callAll must
// send it too.
const allStatements = 17

// callAll calls every method of a store so that it sends every statement.
func callAll(t testing.TB, s store.Store, owner string) {
	t.Helper()
	ctx := t.Context()
	first, next, name := record(owner, owner+"-1"), record("", owner+"-2"), "renamed"
	tomorrow := epoch.AddDate(0, 0, 1) // after the other keys were inserted, and some have expired
	first.CreatedAt, next.CreatedAt = tomorrow, tomorrow
	page := store.Query{Owner: owner, After: store.Cursor{CreatedAt: epoch.Add(time.Minute), ID: "z"}}
	insert := s.Insert(ctx, first, 1) // with so small a limit, the database may expect a scan to end soon
	_, get := s.Get(ctx, owner, first.ID)
	_, lookup := s.Lookup(ctx, first.Digest)
	_, list := s.List(ctx, store.Query{Owner: owner})
	_, more := s.List(ctx, page)
	page.Filter, page.At = store.FilterCurrent, tomorrow
	_, current := s.List(ctx, page)
	page.Filter = store.FilterEnded
	_, ended := s.List(ctx, page)
	_, update := s.Update(ctx, owner, first.ID, store.Change{At: tomorrow, Name: &name, Scopes: []string{},
		Metadata: map[string]string{}, ExpiresAt: &time.Time{}, DisabledAt: &time.Time{}})
	_, _, rotate := s.Rotate(ctx, owner, first.ID, next, tomorrow.Add(time.Hour), -1)
	touch := s.Touch(ctx, []store.Use{{Digest: first.Digest, At: tomorrow}})
	_, _, revoke := s.Revoke(ctx, owner, first.ID, tomorrow, "leaked")
	_, revokeAll := s.RevokeAll(ctx, owner, tomorrow, "closed")
	if err := errors.Join(insert, get, lookup, list, more, current, ended, update, rotate, touch, revoke, revokeAll); err != nil {
		t.Fatal(err)
	}
}

// planned returns a database of many rows, and the statements that a Store sends for each of
// three owners. The statements were recorded before the rows were made. One owner has many keys,
// one has a hundred, and one has half of all keys, which have ended.
func planned(t *testing.T, d sqlstore.Dialect, c driver.Connector) (*sql.DB, map[string][]sent) {
	t.Helper()
	db, r := recorded(t, c)
	s := sqlStore(t, d, db)
	statements := map[string][]sent{}
	for i, owner := range []string{bigOwner, smallOwner, endedOwner} {
		const older = 1_100 // more keys than a list of current keys searches at first
		fillOwner(t, db, d, owner, i*older, older)
		testkit.ExecuteOn(t, db, "UPDATE keyhatch_keys SET revoked_at = created_at WHERE id LIKE 'k%'")
		r.seen = nil
		callAll(t, s, owner)
		if len(r.seen) < allStatements {
			t.Fatalf("got %d statements, want %d: %q", len(r.seen), allStatements, r.seen)
		}
		statements[owner] = r.seen
	}
	testkit.ExecuteOn(t, db, "DELETE FROM keyhatch_keys WHERE id LIKE 'k%'")
	fillOwner(t, db, d, endedOwner, planRows, planRows)
	fillRows(t, db, d, planRows)
	return db, statements
}

// The names of the indexes, by which the plans are checked.
const (
	listIndex     = "keyhatch_keys_list"
	liveIndex     = "keyhatch_keys_live"
	replacedIndex = "keyhatch_keys_replaced"
	currentIndex  = "keyhatch_keys_current"
	primary       = "the primary key"
	idIndex       = "the index of ids"
)

const wholeTable = "the whole table is read"

// missing has, for each index, a complaint that must be made without the index.
var missing = map[string]string{
	listIndex:     notBy(listIndex),
	liveIndex:     notBy(liveIndex),
	replacedIndex: notBy(replacedIndex),
	currentIndex:  notBy(currentIndex),
	primary:       notBy(primary),
	idIndex:       wholeTable,
}

func notBy(index string) string { return "rows are not found by " + index + " alone" }

// An explained statement has a plan, and complaints about it.
type explained struct {
	sent
	plan       string
	complaints []string
}

func (e *explained) complain(wrong bool, complaint string) {
	if wrong {
		e.complaints = append(e.complaints, complaint)
	}
}

func report(t *testing.T, all []explained) {
	t.Helper()
	for _, e := range all {
		t.Logf("%s\n%s", e.line(), e.plan)
		for _, c := range e.complaints {
			t.Errorf("%s: %s", c, e.line())
		}
	}
}

func faultless(all []explained) bool {
	return !slices.ContainsFunc(all, func(e explained) bool { return len(e.complaints) > 0 })
}

// missed fails the test unless there is a complaint about the plans without an index. It shows that
// report can fail.
func missed(t *testing.T, index string, all []explained) {
	t.Helper()
	for _, e := range all {
		if slices.Contains(e.complaints, missing[index]) {
			return
		}
	}
	t.Errorf("without the index %s: got no complaint, want one", index)
}

// The purpose of a statement, by its text.
func (s sent) isCount() bool   { return strings.Contains(s.text, "count(*)") }
func (s sent) isCurrent() bool { return strings.Contains(s.text, "AS unexpired") }
func (s sent) isList() bool {
	return strings.Contains(s.text, "ORDER BY created_at DESC") && !s.isCurrent()
}
func (s sent) isNext() bool   { return s.isList() && strings.Contains(s.text, "id < ") }
func (s sent) isEnded() bool  { return s.isList() && strings.Contains(s.text, "AS page") }
func (s sent) isBatch() bool  { return strings.Contains(s.text, "AS batch") }
func (s sent) isRecent() bool { return s.isNext() && strings.Contains(s.text, "AS recent") }
func (s sent) isTouch() bool {
	return strings.Contains(s.text, "SET last_used_at") || strings.Contains(s.text, "SET k.last_used_at")
}
func (s sent) isLive() bool {
	return !s.isCount() && !s.isList() && !s.isCurrent() && !strings.Contains(s.text, "digest IN") && strings.Contains(s.text, "WHERE owner = ") && strings.Contains(s.text, "revoked_at IS NULL")
}
