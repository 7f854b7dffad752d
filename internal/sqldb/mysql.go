package sqldb

import (
	"database/sql"
	"errors"
	"strings"
)

const mysqlHides = `CASE WHEN @@read_only OR @@innodb_read_only THEN '@@read_only is on, a replica lags'
	WHEN @@sql_select_limit < 18446744073709551615 THEN '@@sql_select_limit hides rows' END`

// MySQL is MySQL 8.0.16 or later, or MariaDB 10.6 or later. A statement must also
// name an index with FORCE INDEX. It then fails on a view, which has no index.
var MySQL = Database{
	name:  "MySQL server",
	quote: "`",

	// An invalid XPath makes the statement fail. The error quotes the first 32
	// characters of the XPath.
	whole: `COALESCE(EXTRACTVALUE(1, CONCAT('~', ` + mysqlHides + `)), 1)`,

	home: `SELECT DATABASE(), NULL FROM (SELECT ? AS a, ? AS b) AS unused`,

	faults: `SELECT ` + mysqlHides + ` UNION ALL
		SELECT CASE WHEN t.table_type LIKE '%VIEW' THEN CONCAT(t.table_name, ' is a view, which may hide rows')
			WHEN c.character_set_name <> 'utf8mb4' THEN CONCAT('column ', c.column_name, ' of ', t.table_name, ' has the charset ',
				c.character_set_name, ', want utf8mb4, since other charsets cannot store every text') END
		FROM information_schema.tables AS t JOIN information_schema.columns AS c USING (table_schema, table_name)
		WHERE table_schema = ? AND table_name IN (%s)`,

	server:      `SELECT CONCAT(@@hostname, ':', @@port, ', server_id ', @@server_id)`,
	placeholder: questionMark,

	schemas:   true,
	Isolation: sql.LevelReadCommitted,                                                 // each statement sees changes that were committed while it waited for a lock
	IsMissing: func(err error) bool { return HasNumber(err, "1146") },                 // no such table
	IsBusy:    func(err error) bool { return HasNumber(err, "1213", "1205", "1020") }, // deadlock, lock wait timeout, record changed

	// Without autocommit, a read begins a transaction that nothing ends, and later
	// reads would still return the old rows. A dirty read returns rows that may be
	// rolled back. Other charsets lose characters, and empty strings must not become
	// NULL. MariaDB and MySQL have different names for the isolation, so each name is in a
	// comment that only the database which uses the name executes.
	settingsFault: `SELECT CASE
		WHEN @@autocommit = 0 THEN 'autocommit is off, want it on'
		WHEN /*!80000 @@transaction_isolation *//*M! @@tx_isolation */ = 'READ-UNCOMMITTED'
			THEN 'the isolation of the connection is READ-UNCOMMITTED, want READ-COMMITTED or more'
		WHEN @@character_set_client <> 'utf8mb4' OR @@character_set_connection <> 'utf8mb4'
			OR @@character_set_results <> 'utf8mb4'
			THEN CONCAT('the charset of the connection is ', @@character_set_client, ', want utf8mb4')
		WHEN @@sql_mode LIKE '%EMPTY_STRING_IS_NULL%' THEN 'sql_mode has EMPTY_STRING_IS_NULL'
		END`,

	exclusively: exclusivelyByName,

	// A column or an index that already exists. MySQL does not roll back the
	// statements of a failed migration.
	isApplied: func(err error) bool { return HasNumber(err, "1060", "1061") },
}

// HasNumber reports whether err is an error of MySQL with one of the numbers. It reads
// the number from the error message. The driver's error also has a field for the number,
// but only a package that imports the driver can read it.
func HasNumber(err error, numbers ...string) bool {
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
