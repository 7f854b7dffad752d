package sqlitestore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// A recorder is a driver that records the statements it runs.
type recorder struct {
	sqlite.Driver
	mu   sync.Mutex
	seen []string
}

func (r *recorder) Open(name string) (driver.Conn, error) {
	c, err := r.Driver.Open(name)
	return &recordingConn{c, r}, err
}

func (r *recorder) record(statement string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.seen, statement) {
		r.seen = append(r.seen, statement)
	}
}

type recordingConn struct {
	driver.Conn
	to *recorder
}

func (c *recordingConn) Prepare(q string) (driver.Stmt, error) {
	c.to.record(q)
	return c.Conn.Prepare(q)
}

func (c *recordingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c *recordingConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	c.to.record(q)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *recordingConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.record(q)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

var recorded = sync.OnceValue(func() *recorder {
	r := &recorder{}
	sql.Register("sqlite-recorded", r)
	return r
})

// run runs every statement of a Store.
func run(t *testing.T, s store.Store) {
	t.Helper()
	ctx, r, name := t.Context(), record("o", "k1"), "renamed"
	insertKeys(t, s, "o", strings.Repeat("e", 21)) // more than the first statement searches if a page has one key
	var failed []error
	ok := func(err error) { failed = append(failed, err) }
	ok(s.Insert(ctx, r, 5))
	_, err := s.Lookup(ctx, r.Digest)
	ok(err)
	for _, q := range []store.Query{
		{Owner: "o"}, {Owner: "o", After: store.Cursor{CreatedAt: epoch, ID: "z"}},
		{Owner: "o", Filter: store.FilterCurrent, At: epoch, Limit: 1}, {Owner: "o", Filter: store.FilterEnded, At: epoch},
	} {
		_, err = s.List(ctx, q)
		ok(err)
	}
	_, err = s.Update(ctx, "o", "k1", store.Change{At: epoch, Name: &name, Scopes: []string{}, Metadata: map[string]string{},
		ExpiresAt: &time.Time{}, DisabledAt: &time.Time{}})
	ok(err)
	_, _, err = s.Rotate(ctx, "o", "k1", record("", "k2"), epoch.Add(time.Hour), -1)
	ok(err)
	ok(s.Touch(ctx, []store.Use{{Digest: r.Digest, At: epoch}}))
	_, _, err = s.Revoke(ctx, "o", "k1", epoch, "leaked")
	ok(err)
	_, err = s.RevokeAll(ctx, "o", epoch, "closed")
	ok(err)
	for _, err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// recentPage is the plan of a list of the current keys among the latest ones, and of the
// key after these. It sorts nothing.
var recentPage = []string{
	"CO-ROUTINE recent",
	"COMPOUND QUERY",
	"LEFT-MOST SUBQUERY",
	"CO-ROUTINE found",
	"CO-ROUTINE latest",
	"SEARCH main.keyhatch_keys USING COVERING INDEX keyhatch_keys_list (owner=? AND created_at<?)",
	"SCAN latest",
	"SCAN found",
	"UNION ALL",
	"CO-ROUTINE following",
	"SEARCH main.keyhatch_keys USING COVERING INDEX keyhatch_keys_list (owner=? AND created_at<?)",
	"SCAN following",
	"SCAN recent",
	"SEARCH k USING INDEX sqlite_autoindex_keyhatch_keys_2 (id=?)",
}

// currentPage is the plan of a list of current keys. It sorts only those that
// expire, and reads no expired ones.
var currentPage = []string{
	"COMPOUND QUERY",
	"LEFT-MOST SUBQUERY",
	"CO-ROUTINE endless",
	"SEARCH main.keyhatch_keys USING COVERING INDEX keyhatch_keys_current (owner=? AND expires_at=? AND created_at<?)",
	"SCAN endless",
	"SEARCH k USING INDEX sqlite_autoindex_keyhatch_keys_2 (id=?)",
	"UNION ALL",
	"CO-ROUTINE ending",
	"CO-ROUTINE unexpired",
	"SEARCH main.keyhatch_keys USING COVERING INDEX keyhatch_keys_current (owner=? AND expires_at>?)",
	"SCAN unexpired",
	"USE TEMP B-TREE FOR ORDER BY",
	"SCAN ending",
	"SEARCH k USING INDEX sqlite_autoindex_keyhatch_keys_2 (id=?)",
}

// openRecorded returns a new Store whose statements are recorded.
func openRecorded(t *testing.T) (*sqlstore.Store, *sql.DB, *recorder) {
	t.Helper()
	rec := recorded()
	db, err := sql.Open("sqlite-recorded", newFile(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	s, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec.seen = nil
	return s, db, rec
}

// insertKeys inserts keys of an owner, newest first: a current one for each c, and an
// ended one for each e.
func insertKeys(t *testing.T, s store.Store, owner, states string) {
	t.Helper()
	for i, state := range states {
		r := record(owner, fmt.Sprint(owner, i))
		r.CreatedAt = epoch.Add(-time.Duration(i) * time.Second)
		if state == 'e' {
			r.RevokedAt = epoch
		}
		insert(t, s, r)
	}
}

// a list of current keys takes one statement, unless the owner has more keys than that
// statement searches. It searches ten times as many keys as a page needs: the limit and one more.
func TestCurrentKeysAreListedByOneStatement(t *testing.T) {
	s, _, rec := openRecorded(t)
	ended := strings.Repeat("e", 19)
	for _, c := range []struct {
		name, keys string
		want       int
	}{
		{"no keys", "", 1},
		{"one current key", "c", 1},
		{"the oldest key is current", ended + "c", 1},
		{"all keys have ended", ended + "e", 1},
		{"a page among the latest keys", "cec" + ended, 1},
		{"a page ends with the latest keys", "c" + ended[1:] + "cec", 1},
		{"more keys follow", ended + "ec", 2},
		{"more keys follow a current one", "c" + ended + "e", 2},
	} {
		insertKeys(t, s, c.name, c.keys)
		rec.seen = nil
		_, err := s.List(t.Context(), store.Query{Owner: c.name, Filter: store.FilterCurrent, At: epoch, Limit: 1})
		if err != nil || len(rec.seen) != c.want {
			t.Errorf("%s: got %d statements and error %v, want %d: %q", c.name, len(rec.seen), err, c.want, rec.seen)
		}
	}
}

// every statement of a Store finds its rows by an index.
func TestNoStatementScansTheTable(t *testing.T) {
	s, db, rec := openRecorded(t)
	run(t, s)
	if len(rec.seen) < 16 {
		t.Fatalf("got %d statements, want all of them: %q", len(rec.seen), rec.seen)
	}
	for _, statement := range slices.Clone(rec.seen) {
		batch := strings.Contains(statement, "digest IN (?")
		if batch {
			statement = strings.Replace(statement, "IN (?", "IN (?"+strings.Repeat(", ?", store.RevokeBatch-1), 1)
		}
		plan := explain(t, db, statement)
		t.Logf("%s\n\t%s", strings.Join(strings.Fields(statement), " "), strings.Join(plan, "\n\t"))
		if strings.Contains(statement, "AS page") || strings.Contains(statement, "AS recent") {
			want := endedPage
			if strings.Contains(statement, "AS unexpired") {
				want = currentPage
			} else if strings.Contains(statement, "AS recent") {
				want = recentPage
			}
			if !slices.Equal(plan, want) {
				t.Errorf("a filtered page must be found in the index alone, and its rows by their ids: got %q, want %q", plan, want)
			}
			continue
		}
		if batch && !slices.Equal(plan, []string{"SEARCH main.keyhatch_keys USING PRIMARY KEY (digest=?)"}) {
			t.Errorf("a batch must be found by its digests alone: got %q", plan)
		}
		for _, step := range plan {
			// The batch of uses is a table that is read in full. So are the rows
			// that a bounded subquery has found.
			own := strings.Contains(step, "json_each") || strings.Contains(step, "SCAN en") ||
				strings.Contains(step, "SCAN replaced") || strings.Contains(step, "SCAN batch") || strings.Contains(step, "CONSTANT ROW")
			if strings.HasPrefix(step, "SCAN") && !own || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("a statement must not read or sort the whole table: %s\n%s", step, statement)
			}
		}
		if text := strings.Join(plan, "\n"); strings.Contains(statement, "count(*)") {
			for _, index := range []string{"COVERING INDEX keyhatch_keys_current (owner=? AND expires_at=?)", "COVERING INDEX keyhatch_keys_current (owner=? AND expires_at>?)",
				"keyhatch_keys_replaced (owner=? AND expires_at=?)", "keyhatch_keys_replaced (owner=? AND expires_at>?)"} {
				if !strings.Contains(text, index) {
					t.Errorf("the count for the limit must skip ended keys by the index, and not read the rows of the others: got\n%[2]s\nwant %[1]s in it", index, text)
				}
			}
		}
	}
}

// endedPage is the plan of a list of ended keys. It sorts only the rows of the page.
var endedPage = []string{
	"CO-ROUTINE page",
	"SEARCH main.keyhatch_keys USING COVERING INDEX keyhatch_keys_list (owner=? AND created_at<?)",
	"SCAN page",
	"SEARCH k USING INDEX sqlite_autoindex_keyhatch_keys_2 (id=?)",
	"USE TEMP B-TREE FOR ORDER BY",
}

func explain(t *testing.T, db *sql.DB, statement string) (plan []string) {
	t.Helper()
	args := make([]any, strings.Count(statement, "?"))
	for i := range args {
		args[i] = 1
	}
	if strings.Contains(statement, "json_each") {
		args[0] = `[]`
	}
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

// The cost of the limit does not depend on the number of an owner's keys: the count
// stops at the limit.
func BenchmarkInsertAtLimit(b *testing.B) {
	for _, keys := range []int{10, 10_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			s := open(b, newFile(b))
			for i := range keys {
				r := record("o", fmt.Sprint("k", i))
				if i%2 == 0 {
					r.RevokedAt = epoch
				}
				insert(b, s, r)
			}
			r := record("o", "more")
			for b.Loop() {
				if err := s.Insert(b.Context(), r, 5); err == nil {
					b.Fatal("an insert beyond the limit succeeded")
				}
			}
		})
	}
}
