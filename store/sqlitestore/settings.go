package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// A setting is a pragma that is set on every connection, and the result that
// SQLite then returns for it.
type setting struct{ pragma, value, result string }

var (
	// While SQLite waits for a lock, it ignores a cancelled context and retries at
	// growing intervals. So SQLite waits for 10 ms only, and sqlstore retries.
	patient = setting{"busy_timeout", "10", "10"}

	// FULL makes every commit wait for the disk. With NORMAL, a power cut could
	// make revoked keys work again.
	durable = setting{"synchronous", "FULL", "2"}

	writing = []setting{patient, durable, {"foreign_keys", "ON", "1"}, {"journal_mode", "WAL", "wal"}}
	reading = []setting{patient, durable, {"foreign_keys", "ON", "1"}, {"query_only", "ON", "1"}}
)

// address returns the data source name. The file exists already. With mode rw, a
// connection that is opened later does not create an empty file in its place.
func address(file string, settings []setting) string {
	query := url.Values{"mode": {"rw"}}
	for _, s := range settings {
		query.Add("_pragma", s.pragma+"("+s.value+")")
	}
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return uri.String()
}

// verify checks the settings, since SQLite does not report a setting that it
// ignores. For example, the journal mode does not change on a file system without
// shared memory.
func verify(ctx context.Context, db *sql.DB, settings []setting) error {
	for _, s := range settings {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+s.pragma).Scan(&got); err != nil {
			return err
		}
		if got != s.result {
			return fmt.Errorf("pragma %s is %s, want %s", s.pragma, got, s.result)
		}
	}
	return nil
}
