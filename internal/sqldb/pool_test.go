package sqldb

import (
	"database/sql"
	"runtime"
	"testing"
	"time"
	"weak"
)

// Pools of one sql.DB count together, and pools of two do not. The count ends with the sql.DB.
func TestNewPool(t *testing.T) {
	t.Parallel()
	key := func() weak.Pointer[sql.DB] {
		db, other := sql.OpenDB(nil), sql.OpenDB(nil)
		defer db.Close()
		defer other.Close()
		one, two, third := NewPool(db), NewPool(db), NewPool(other)
		one.CountReply()
		if got := two.replies.Load(); got != 1 {
			t.Errorf("replies of a pool that shares a sql.DB: got %d, want 1", got)
		}
		if got := third.replies.Load(); got != 0 {
			t.Errorf("replies of a pool of another sql.DB: got %d, want 0", got)
		}
		return weak.Make(db)
	}()
	for began, kept := time.Now(), true; kept; runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the count of a sql.DB that is gone is kept")
		}
		runtime.GC()
		_, kept = repliesOf.Load(key)
	}
}
