package sqlstore

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

var (
	//go:embed schema/mysql/1.sql
	mysqlSchema1 string

	//go:embed schema/mysql/2.sql
	mysqlSchema2 string

	//go:embed schema/mysql/3.sql
	mysqlSchema3 string

	//go:embed schema/mysql/4.sql
	mysqlSchema4 string
)

var mysql = dialect{
	schema:    []string{mysqlSchema1, mysqlSchema2, mysqlSchema3, mysqlSchema4},
	db:        &sqldb.MySQL,
	schemas:   true,
	isolation: sql.LevelReadCommitted, // each statement sees what was committed while it waited for a lock
	prepare:   true,
	busy:      busyMySQL,
	made:      madeMySQL,
	alone:     aloneMySQL,

	// INSERT IGNORE would also swallow what is too long, and with the client's
	// clientFoundRows no count tells an insert from a repetition. Without
	// strict mode even a plain INSERT cuts off what is too long, and an UPDATE
	// does so too.
	readBack: true,

	// Without autocommit, a read begins a transaction that nothing ends, and
	// those after it go on seeing keys as they were before they were revoked.
	// A dirty read finds keys that a limit is about to refuse. Other charsets
	// lose letters on the way. MariaDB has another name for the isolation, which
	// MySQL takes for a comment, and the other way round.
	unfit: `SELECT CASE
		WHEN @@autocommit = 0 THEN 'autocommit is off, want it on'
		WHEN /*!80000 @@transaction_isolation *//*M! @@tx_isolation */ = 'READ-UNCOMMITTED'
			THEN 'the isolation of the connection is READ-UNCOMMITTED, want READ-COMMITTED or more'
		WHEN @@character_set_client <> 'utf8mb4' OR @@character_set_connection <> 'utf8mb4'
			OR @@character_set_results <> 'utf8mb4'
			THEN CONCAT('the charset of the connection is ', @@character_set_client, ', want utf8mb4')
		END`,

	lock: `INSERT INTO keyhatch_keys_owners (owner, latest) VALUES (?, ?)
		ON DUPLICATE KEY UPDATE latest = GREATEST(latest, VALUES(latest))`,
	latest: `SELECT latest FROM keyhatch_keys_owners WHERE owner = ?`,

	// A view in the table's place may hide rows; it has no index, so that the
	// statement fails.
	byDigest: "FORCE INDEX (PRIMARY)",
	byID:     "FORCE INDEX (id)",

	// If an owner has a large part of all keys, the server would otherwise read the
	// whole table, and lock the rows of every other owner.
	byLive:     "FORCE INDEX (keyhatch_keys_live)",
	byCount:    "FORCE INDEX (keyhatch_keys_live)",
	byReplaced: "FORCE INDEX (keyhatch_keys_replaced)",
	byCurrent:  "FORCE INDEX (keyhatch_keys_current)",

	// For the next page of such an owner, it would read all pages before it.
	byList: "FORCE INDEX (keyhatch_keys_list)",

	touch: `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (digest CHAR(64) PATH '$[0]', at BIGINT PATH '$[1]')) AS u
		STRAIGHT_JOIN keyhatch_keys AS k ON k.digest = UNHEX(u.digest)
		SET k.last_used_at = u.at
		WHERE k.revoked_at IS NULL AND (k.last_used_at IS NULL OR k.last_used_at < u.at
			OR k.last_used_at > u.at + 86400000000 AND k.created_at <= u.at)`,
}

func busyMySQL(err error) bool {
	return hasNumber(err, "1213", "1205", "1020") // deadlock, lock wait timeout, record changed
}

// madeMySQL is for a column or an index that is there already. MySQL does not take
// back the statements of a migration that broke off.
func madeMySQL(err error) bool { return hasNumber(err, "1060", "1061") }

// hasNumber reads the number from the text, since the driver's error has it in
// a field, which cannot be asked for without importing the driver.
func hasNumber(err error, numbers ...string) bool {
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

// aloneMySQL holds a named lock, since MySQL commits before and after each
// statement that changes a schema.
func aloneMySQL(ctx context.Context, s *Store, do func(execer) error) (err error) {
	conn, err := s.writes.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const name = "CONCAT('keyhatch ', LEFT(SHA2(COALESCE(NULLIF(?, ''), DATABASE(), ''), 256), 32))" // at most 64 characters
	var locked sql.NullBool
	err = conn.QueryRowContext(ctx, "SELECT GET_LOCK("+name+", ?)", s.schema, int(patience.Seconds())).Scan(&locked)
	if err != nil {
		return err
	}
	if !locked.Bool {
		return fmt.Errorf("another process has been migrating for %v", patience)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, failed := conn.ExecContext(ctx, "DO RELEASE_LOCK("+name+")", s.schema)
		if failed != nil { // the lock goes with the connection
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return s.patiently(ctx, func() error { return do(conn) })
}
