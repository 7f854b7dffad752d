package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// A setting is a pragma that every connection is given, and what SQLite then
// answers when it is asked for it.
type setting struct{ pragma, value, answer string }

var (
	// While it waits for a lock SQLite does not notice a cancelled context, and
	// looks at longer and longer intervals. So it waits for a hundredth of a
	// second, and sqlstore for the rest.
	patient = setting{"busy_timeout", "10", "10"}

	// FULL makes every commit wait for the disk: with NORMAL a power cut would
	// bring revoked keys back.
	durable = setting{"synchronous", "FULL", "2"}

	writing = []setting{patient, durable, {"foreign_keys", "ON", "1"}, {"journal_mode", "WAL", "wal"}}
	reading = []setting{patient, durable, {"foreign_keys", "ON", "1"}, {"query_only", "ON", "1"}}
)

// address is the data source name. The file is there already, so that rw keeps
// a connection that is opened later from making an empty one in its place.
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

// verify asks for the settings, since SQLite does not report one that it does
// not follow: on a file system without shared memory, for one, the journal
// mode stays what it was.
func verify(ctx context.Context, db *sql.DB, settings []setting) error {
	for _, s := range settings {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+s.pragma).Scan(&got); err != nil {
			return err
		}
		if got != s.answer {
			return fmt.Errorf("pragma %s is %s, want %s", s.pragma, got, s.answer)
		}
	}
	return nil
}
