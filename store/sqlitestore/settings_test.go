package sqlitestore

import (
	"database/sql"
	"path/filepath"
	"testing"
)

// Every connection has the durable settings. Without them a power cut could make
// revoked keys work again, which a test that kills the process cannot show.
func TestEveryConnectionHasTheSettings(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for name, pool := range map[string]struct {
		db    *sql.DB
		conns int
		want  map[string]string
	}{
		"writes": {s.writes, 1, map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10", "query_only": "0"}},
		"reads":  {s.reads, 3, map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10", "query_only": "1"}},
	} {
		for i := range pool.conns {
			conn, err := pool.db.Conn(t.Context()) // held, so that the next connection is another one
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for pragma, want := range pool.want {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("connection %d for %s: %s: got %s, %v, want %s", i, name, pragma, got, err, want)
				}
			}
		}
	}
}
