package databases_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// M-17, invariant 4: processes whose clocks differ by 2 s create, rotate, revoke and change the
// keys of one owner at random, while keys expire. After each transaction, the number of keys that
// count is at most the limit, and the number of working keys is at most twice the limit.
func TestLimitHoldsWhateverTheClocks(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dsn := d.dsn(t)
			db := testkit.OpenDB(t, d.driver, dsn)
			sqlStore(t, d.dialect, db)
			for _, statement := range journals[d.dialect] {
				testkit.ExecuteOn(t, db, statement)
			}
			var ps []*process
			for range 3 {
				ps = append(ps, start(t, "live", d.driver, d.dialect, dsn))
			}
			var made journalCounts
			for round := range testkit.Scale(3, 200) {
				owner, limit := fmt.Sprint("o", round), 1+(round+1)%3
				for i, p := range ps {
					p.send(t, fmt.Sprintf("%s %d %d %d", owner, limit, (i-1)*2000, testkit.Scale(50, 100)))
				}
				succeeded := 0
				for _, p := range ps {
					n, err := strconv.Atoi(p.answer(t))
					if err != nil {
						t.Fatal(err)
					}
					succeeded += n
				}
				if n := made.check(t, db, owner, limit); n != succeeded {
					t.Errorf("got %d successful calls and %d transactions in the journal, want the same number", succeeded, n)
				}
			}
			t.Logf("%+v", made)
			if made.created == 0 || made.rotated == 0 || made.ended == 0 || made.changed == 0 {
				t.Errorf("a kind of transaction is missing: got %+v", made)
			}
		})
	}
}

// M-17: the remedy in the package comment of sqlstore. After a write with a clock that is a year
// ahead, all keys of the owner count as expired, until the remedy is applied.
func TestClockAYearAhead(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			ctx, db := t.Context(), d.open(t)
			s := sqlStore(t, d.dialect, db)
			k, ahead := record("o", "k"), record("o", "ahead")
			k.ExpiresAt, ahead.CreatedAt = epoch.AddDate(0, 0, 7), epoch.AddDate(1, 0, 0)
			insert(t, s, k, ahead)
			later := epoch.AddDate(0, 0, 14)
			change := store.Change{At: epoch, ExpiresAt: &later}
			if _, err := s.Update(ctx, "o", "k", change); !errors.Is(err, store.ErrConflict) {
				t.Errorf("Update after a change a year ahead: got %v, want %v", err, store.ErrConflict)
			}
			if r, err := s.Lookup(ctx, k.Digest); err != nil || !r.IsActive(epoch) {
				t.Errorf("Lookup after a change a year ahead: got %+v, %v, want a key that works", r, err)
			}
			testkit.ExecuteOn(t, db, fmt.Sprintf("UPDATE keyhatch_keys_owners SET latest = 0 WHERE latest > %d", epoch.UnixMicro()))
			if _, err := s.Update(ctx, "o", "k", change); err != nil {
				t.Errorf("Update after the remedy: %v", err)
			}
		})
	}
}

// liveRole makes random calls and returns how many succeeded. The line holds the owner, the
// limit, the milliseconds by which the clock of the process is ahead, and the number of calls.
func liveRole(ctx context.Context, s *sqlstore.Store, line string) (string, error) {
	l := life{s: s}
	var ahead, calls int
	if _, err := fmt.Sscan(line, &l.owner, &l.limit, &ahead, &calls); err != nil {
		return "", err
	}
	succeeded := 0
	for range calls {
		at := time.Now().Add(time.Duration(ahead) * time.Millisecond).UTC().Truncate(time.Microsecond)
		err := l.call(ctx, at)
		if err == nil {
			succeeded++
		} else if !isSentinel(err) {
			return "", err
		}
	}
	return fmt.Sprint(succeeded), nil
}

// A life runs one process's calls for an owner's keys.
type life struct {
	s     *sqlstore.Store
	owner string
	limit int
}

func (l life) call(ctx context.Context, at time.Time) error {
	page, err := l.s.List(ctx, store.Query{Owner: l.owner, Filter: store.FilterCurrent, At: at.Add(-4 * time.Second)})
	if err != nil {
		return err
	}
	made := record(l.owner, testkit.NewName())
	made.CreatedAt = at
	if rand.IntN(2) == 0 {
		made.ExpiresAt = soon(at)
	}
	call := rand.IntN(10)
	if len(page.Records) == 0 || call < 3 {
		return l.s.Insert(ctx, made, l.limit)
	}
	id := page.Records[rand.IntN(len(page.Records))].ID
	switch call {
	case 3:
		_, _, err = l.s.Rotate(ctx, l.owner, id, made, at, l.limit)
	case 4, 5:
		_, _, err = l.s.Rotate(ctx, l.owner, id, made, soon(at), l.limit)
	case 6:
		_, _, err = l.s.Revoke(ctx, l.owner, id, at, "gone")
	case 7, 8:
		_, err = l.s.Update(ctx, l.owner, id, store.Change{At: at, ExpiresAt: &made.ExpiresAt})
	default:
		_, err = l.s.Update(ctx, l.owner, id, store.Change{At: at, DisabledAt: &made.ExpiresAt})
	}
	return err
}

// soon returns an expiry that has passed according to the clock of one process, but not according
// to that of another.
func soon(at time.Time) time.Time {
	if rand.IntN(4) == 0 {
		return at.AddDate(0, 0, 7)
	}
	return at.Add(1 + rand.N(6*time.Second)).Truncate(time.Microsecond)
}

// journals make the database record every row that a transaction writes, and the owner's latest
// time before it. Transactions of one owner are sequential, so their rows are in the order of
// the commits.
var journals = map[sqlstore.Dialect][]string{
	sqlstore.SQLite: {
		"CREATE TABLE journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, latest INTEGER, " + journalColumns("TEXT", "INTEGER") + ")",
		"CREATE TRIGGER locks AFTER INSERT ON keyhatch_keys_owners BEGIN " + journalLock + "; END",
		"CREATE TRIGGER locks_again AFTER UPDATE ON keyhatch_keys_owners BEGIN " + journalLock + "; END",
		"CREATE TRIGGER inserts AFTER INSERT ON keyhatch_keys BEGIN " + journalRow + "; END",
		"CREATE TRIGGER updates AFTER UPDATE ON keyhatch_keys BEGIN " + journalRow + "; END",
	},
	sqlstore.MySQL: {
		"CREATE TABLE journal (seq BIGINT AUTO_INCREMENT PRIMARY KEY, latest BIGINT, " + journalColumns("VARBINARY(255)", "BIGINT") + ")",
		"CREATE TRIGGER locks AFTER INSERT ON keyhatch_keys_owners FOR EACH ROW " + journalLock,
		"CREATE TRIGGER locks_again AFTER UPDATE ON keyhatch_keys_owners FOR EACH ROW " + journalLock,
		"CREATE TRIGGER inserts AFTER INSERT ON keyhatch_keys FOR EACH ROW " + journalRow,
		"CREATE TRIGGER updates AFTER UPDATE ON keyhatch_keys FOR EACH ROW " + journalRow,
	},
	sqlstore.PostgreSQL: {
		"CREATE TABLE journal (seq bigserial PRIMARY KEY, latest bigint, " + journalColumns("text", "bigint") + ")",
		"CREATE FUNCTION note_lock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + journalLock + "; RETURN NULL; END $$",
		"CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + journalRow + "; RETURN NULL; END $$",
		"CREATE TRIGGER locks AFTER INSERT OR UPDATE ON keyhatch_keys_owners FOR EACH ROW EXECUTE FUNCTION note_lock()",
		"CREATE TRIGGER rows AFTER INSERT OR UPDATE ON keyhatch_keys FOR EACH ROW EXECUTE FUNCTION note_row()",
	},
}

func journalColumns(text, instant string) string {
	return fmt.Sprintf(`owner %[1]s, id %[1]s, replaced_by %[1]s,
		created_at %[2]s, expires_at %[2]s, disabled_at %[2]s, revoked_at %[2]s`, text, instant)
}

const (
	journalLock = "INSERT INTO journal (owner, latest) VALUES (NEW.owner, NEW.latest)"
	journalRow  = `INSERT INTO journal (owner, id, replaced_by, created_at, expires_at, disabled_at, revoked_at)
		VALUES (NEW.owner, NEW.id, NEW.replaced_by, NEW.created_at, NEW.expires_at, NEW.disabled_at, NEW.revoked_at)`
)

// journalCounts hold how many transactions of each kind were checked, and the maximum number of
// working keys above the limit.
type journalCounts struct{ created, rotated, ended, changed, excess int }

// check replays the owner's transactions and returns their number.
func (c *journalCounts) check(t *testing.T, db *sql.DB, owner string, limit int) (transactions int) {
	t.Helper()
	s := committed{t: t, limit: limit, records: map[string]store.Record{}}
	rows, err := db.QueryContext(t.Context(), `SELECT latest, COALESCE(id, ''), COALESCE(replaced_by, ''), created_at, expires_at,
		disabled_at, revoked_at FROM journal WHERE owner = '`+owner+`' ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		r := store.Record{Owner: owner}
		var latest, created, expires, disabled, revoked sql.NullInt64
		if err := rows.Scan(&latest, &r.ID, &r.ReplacedBy, &created, &expires, &disabled, &revoked); err != nil {
			t.Fatal(err)
		}
		if latest.Valid { // the next transaction
			s.commit(c)
			s.begin(time.UnixMicro(latest.Int64))
			transactions++
			continue
		}
		r.CreatedAt, r.ExpiresAt, r.DisabledAt, r.RevokedAt = instant(created), instant(expires), instant(disabled), instant(revoked)
		s.written = append(s.written, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	s.commit(c)
	return transactions
}

func instant(micros sql.NullInt64) (at time.Time) {
	if micros.Valid {
		at = time.UnixMicro(micros.Int64)
	}
	return at
}

// committed is the state after some of an owner's transactions.
type committed struct {
	t       *testing.T
	limit   int
	records map[string]store.Record
	at      time.Time      // the owner's latest time
	written []store.Record // records that the current transaction has written
}

func (s *committed) begin(latest time.Time) {
	if latest.Before(s.at) {
		s.t.Fatalf("the owner's latest time decreased from %v to %v", s.at, latest)
	}
	s.at = latest
}

func (s *committed) commit(c *journalCounts) {
	counted, working := s.counts()
	kind, atOnce := &c.changed, false
	for _, r := range s.written {
		old, known := s.records[r.ID]
		switch {
		case !known && len(s.written) == 1:
			kind = &c.created
		case r.ReplacedBy != old.ReplacedBy:
			kind, atOnce = &c.rotated, !r.RevokedAt.IsZero()
		case !r.RevokedAt.IsZero():
			kind = &c.ended
		}
		s.records[r.ID] = r
	}
	if len(s.written) > 0 {
		*kind++
	}
	s.written = nil
	nowCounted, nowWorking := s.counts()
	c.excess = max(c.excess, nowWorking-s.limit)
	// A rotation that revokes the old key at once may leave one more key. Then no key can
	// be created until there are fewer.
	allowed := s.limit
	if kind != &c.created {
		allowed = max(allowed, counted)
	}
	if atOnce {
		allowed = max(allowed, counted+1)
	}
	if nowCounted > allowed || nowWorking > 2*s.limit || atOnce && nowWorking > working {
		s.t.Errorf("with a limit of %d, a transaction changed %d counted records and %d working keys to %d and %d",
			s.limit, counted, working, nowCounted, nowWorking)
	}
}

// counts returns how many records count, and how many keys work, at the latest time.
func (s *committed) counts() (counted, working int) {
	for _, r := range s.records {
		successor, ok := s.records[r.ReplacedBy]
		if r.CountsAgainstLimit(s.at, &successor) || !ok && r.IsCurrent(s.at) {
			counted++
		}
		if r.IsActive(s.at) {
			working++
		}
	}
	return counted, working
}
