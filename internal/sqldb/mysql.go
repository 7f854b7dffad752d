package sqldb

const mysqlHides = `CASE WHEN @@read_only OR @@innodb_read_only THEN '@@read_only is on, a replica lags'
	WHEN @@sql_select_limit < 18446744073709551615 THEN '@@sql_select_limit hides rows' END`

// MySQL is MySQL 8.0.16 or later, or MariaDB 10.6 or later. A statement must also
// name an index with FORCE INDEX. It then fails on a view, which has no index.
var MySQL = Database{
	name:  "MySQL server",
	quote: "`",

	// An invalid XPath makes the statement fail. The error quotes its first 32
	// characters.
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
}
