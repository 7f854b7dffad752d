package sqlprovider

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

//go:embed schema/mysql/1.sql
var mysqlSchema1 string

var mysql = dialect{
	schema:      []string{mysqlSchema1},
	db:          &sqldb.MySQL,
	schemas:     true,
	isolation:   sql.LevelReadCommitted,
	isBusy:      hasErrorNumber("1213", "1205", "1020"), // deadlock, lock wait timeout, record changed
	exclusively: migrateWithLock,

	// A view in place of a table may hide rows. It has no index, so the
	// statement fails.
	byKey: "FORCE INDEX (PRIMARY)",

	// ON DUPLICATE KEY UPDATE would need only one statement. But if the client
	// sets clientFoundRows, its count does not distinguish an insert from a
	// repetition. It also assigns the columns one after the other, so a later
	// comparison sees the changed value. Instead, replace is run if this
	// statement fails. Since no row is ever deleted, one of the two applies,
	// and each is atomic.
	put:         `INSERT INTO keyhatch_plans (` + columns + `, written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	isDuplicate: hasErrorNumber("1062"), // duplicate entry
	replace: `UPDATE keyhatch_plans SET plan = ?, status = ?, since = ?, paid_from = ?, valid_until = ?, updated_at = ?,
			version = ?, written_at = GREATEST(?, written_at + 1)
		WHERE owner = ? AND subscription = ? AND (updated_at < ? OR updated_at = ? AND version < ?)`,

	setOverride: `INSERT INTO keyhatch_plans_overrides (owner, overrides, written_at) VALUES (?, ?, ?)
		ON DUPLICATE KEY UPDATE overrides = VALUES(overrides), written_at = GREATEST(VALUES(written_at), written_at + 1)`,

	markProcessed: `INSERT INTO keyhatch_plans_events (event, refused, at, reason, body) VALUES (?, 0, ?, '', ?)
		ON DUPLICATE KEY UPDATE refused = 0, at = VALUES(at), reason = '', body = VALUES(body)`,

	saveRejected: `INSERT INTO keyhatch_plans_events (event, refused, at, reason, body) VALUES (?, 1, ?, ?, ?)
		ON DUPLICATE KEY UPDATE at = IF(refused = 1, VALUES(at), at),
			reason = IF(refused = 1, VALUES(reason), reason), body = IF(refused = 1, VALUES(body), body)`,

	// Without autocommit, a read begins a transaction that nothing ends, and
	// later reads would still see the old plans. Other charsets lose
	// characters, and empty strings must not become NULL. MariaDB and MySQL
	// have different names for the isolation, so each one stands in a comment
	// that only one of the two executes.
	settingsFault: `SELECT CASE
		WHEN @@autocommit = 0 THEN 'autocommit is off, want it on'
		WHEN /*!80000 @@transaction_isolation *//*M! @@tx_isolation */ = 'READ-UNCOMMITTED'
			THEN 'the isolation of the connection is READ-UNCOMMITTED, want READ-COMMITTED or more'
		WHEN @@character_set_client <> 'utf8mb4' OR @@character_set_connection <> 'utf8mb4'
			OR @@character_set_results <> 'utf8mb4'
			THEN CONCAT('the charset of the connection is ', @@character_set_client, ', want utf8mb4')
		WHEN @@sql_mode LIKE '%EMPTY_STRING_IS_NULL%' THEN 'sql_mode has EMPTY_STRING_IS_NULL'
		END`,
}

// hasErrorNumber returns a function that reports whether an error has one of the
// numbers. It reads the number from the text, since the field of the driver's error is
// not accessible without importing the driver.
func hasErrorNumber(numbers ...string) func(error) bool {
	return func(err error) bool {
		for ; err != nil; err = errors.Unwrap(err) {
			text := err.Error()
			for _, number := range numbers {
				if strings.HasPrefix(text, "Error "+number+" (") || strings.HasPrefix(text, "Error "+number+":") {
					return true
				}
			}
		}
		return false
	}
}

// migrateWithLock holds a named lock, since MySQL commits before and after each
// statement that changes a schema.
func migrateWithLock(ctx context.Context, p *Provider, migrate func(execer) error) (err error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const name = "CONCAT('keyhatch ', LEFT(SHA2(COALESCE(NULLIF(?, ''), DATABASE(), ''), 256), 32))" // at most 64 characters
	var locked sql.NullBool
	err = conn.QueryRowContext(ctx, "SELECT GET_LOCK("+name+", ?)", p.schema, int(retryTimeout.Seconds())).Scan(&locked)
	if err != nil {
		return err
	}
	if !locked.Bool {
		return fmt.Errorf("another process has been migrating for more than %v", retryTimeout)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, failed := conn.ExecContext(ctx, "DO RELEASE_LOCK("+name+")", p.schema)
		if failed != nil { // closing the connection releases the lock
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return p.retryBusy(ctx, func() error { return migrate(conn) })
}
