package mutants_test

// How a database that hides rows could be trusted.
var hiddenMutants = []mutant{
	{"PostgreSQL: row-level security trusted while running", "internal/sqldb/postgres.go", edits{
		"CASE WHEN row_security_active(%s::regclass) THEN",
		"CASE WHEN false AND row_security_active(%s::regclass) THEN",
	}, "./internal/integration/databases", "TestRowLevelSecurityWhileOpen|TestHiddenKeyIsNoVerdict"},
	{"PostgreSQL: row-level security checked where all rows are hidden", "internal/sqldb/postgres.go", edits{
		"apart: true,",
		"apart: false,",
	}, "./internal/integration/databases", "TestRowLevelSecurityWhileOpen"},
	{"PostgreSQL: row-level security accepted at the start", "internal/sqldb/postgres.go", edits{
		"WHEN row_security_active(c.oid) THEN",
		"WHEN false THEN",
	}, "./internal/integration/databases", "TestMigrateRefusesRowLevelSecurity"},
	{"SQL: pool for reads not checked", "store/sqlstore/migrate.go", edits{
		"return do(s.reads.DB)",
		"return nil",
	}, "./internal/integration/databases", "TestMigrateRefusesRowLevelSecurity"},
	{"SQL: pool for reads may lead elsewhere", "internal/sqldb/sqldb.go", edits{
		"if one != other {",
		"if one.Valid != other.Valid {",
	}, "./internal/integration/databases", "TestReadsMustLeadToTheSameServer"},
	{"PostgreSQL: pool for reads may lead to another server", "internal/sqldb/postgres.go", edits{
		"', server started at ' || pg_postmaster_start_time()",
		"''",
	}, "./internal/integration/databases", "TestServersInTrouble/PostgreSQL/reads"},
	{"MySQL: pool for reads may lead to another server", "internal/sqldb/mysql.go", edits{
		"CONCAT(@@hostname, ':', @@port, ', server_id ', @@server_id)",
		"CONCAT(@@hostname, ', server_id ', @@server_id)",
	}, "./internal/integration/databases", "TestServersInTrouble/MariaDB/reads"},
	{"PostgreSQL: standby trusted while running", "internal/sqldb/postgres.go", edits{
		"WHEN current_setting('in_hot_standby', true) = 'on' THEN",
		"WHEN false THEN",
	}, "./internal/integration/databases", "TestServersInTrouble/PostgreSQL/read_only"},
	{"PostgreSQL: standby accepted at the start", "internal/sqldb/postgres.go", edits{
		"WHEN pg_is_in_recovery() THEN",
		"WHEN false THEN",
	}, "./internal/integration/databases", "TestServersInTrouble/PostgreSQL/read_only"},
	{"PostgreSQL: view trusted while running", "internal/sqldb/postgres.go", edits{
		"WHEN pg_relation_filenode(%s::regclass) IS NULL THEN",
		"WHEN false THEN",
	}, "./internal/integration/databases", "TestViewInPlaceOfATable"},
	{"PostgreSQL: view accepted at the start", "internal/sqldb/postgres.go", edits{
		"WHEN c.relkind <> 'r' THEN",
		"WHEN c.relkind = '-' THEN",
		"WHEN pg_relation_filenode(%s::regclass) IS NULL THEN",
		"WHEN false THEN",
	}, "./internal/integration/databases", "TestViewInPlaceOfATable"},
	{"MySQL: view trusted while running", "store/sqlstore/mysql.go", edits{
		`byDigest: "FORCE INDEX (PRIMARY)",`,
		`byDigest: "",`,
	}, "./internal/integration/databases", "TestViewInPlaceOfATable"},
	{"SQLite: view accepted at the start", "internal/sqldb/sqlite.go", edits{
		"WHERE type = 'view' AND",
		"WHERE type = 'none' AND",
	}, "./internal/integration/databases", "TestViewInPlaceOfATable"},
	{"MySQL: lists cut short", "internal/sqldb/mysql.go", edits{
		"WHEN @@sql_select_limit < 18446744073709551615 THEN",
		"WHEN @@sql_select_limit < 0 THEN",
	}, "./internal/integration/databases", "TestMySQLSelectLimit"},
	{"MySQL: charset of a column not checked", "internal/sqldb/mysql.go", edits{
		"<> 'utf8mb4' THEN",
		"= 'none' THEN",
	}, "./internal/integration/databases", "TestMySQLCharsetOfAColumn"},
	{"SQL: each connection goes by its own search path", "internal/sqldb/tables.go", edits{
		"t.Names.Schema, t.found = schema, true\n\treturn rename()",
		"t.found = schema != \"\"\n\treturn nil",
		"return t.Check(ctx, pool, t.Names.Schema, tables...)",
		"return nil",
	}, "./internal/integration/databases", "TestSearchPath|TestTemporaryTablesHideNothing"},
	{"PostgreSQL: second table in another schema", "internal/sqldb/sqldb.go", edits{
		`case others.String != "":`,
		`case others.String == "-":`,
	}, "./internal/integration/databases", "TestSearchPath"},
	{"SQL: hidden plans are no plans", "internal/sqldb/tables.go", edits{
		"t.Text(t.Whole(",
		"t.Text(SQLite.Whole(",
	}, "./internal/integration/plans", "TestRowLevelSecurity|TestViewInPlaceOfATable"},
	{"SQL: hidden overrides are no overrides", "entitlement/sqlprovider/statements.go", edits{
		"ON o.owner = s.owner WHERE s.owner = ?`, \"\", \"_overrides\")",
		"ON o.owner = s.owner WHERE s.owner = ?`, \"\")",
	}, "./internal/integration/plans", "TestRowLevelSecurity"},
	{"SQL: each connection looks for plans by its own search path", "internal/sqldb/tables.go", edits{
		"t.Names.Schema, t.found = schema, true\n\treturn rename()",
		"t.found = schema != \"\"\n\treturn nil",
	}, "./internal/integration/plans", "TestSearchPath"},
	{"pgstore: empty name leads to a default", "store/pgstore/config.go", edits{
		`return strings.Trim(dsn, "/@?") == ""`,
		`return dsn == "-"`,
	}, "./store/pgstore", "TestEmptyNames"},
	{"PostgreSQL: a name without a server and a database accepted", "store/pgstore/config.go", edits{
		`if given.Database == "" && !namesServer(dsn) {`,
		`if given.Database == "" && dsn == "" {`,
	}, "./store/pgstore", "TestNamesWithoutAServer"},
	{"Redis: certificates not looked at", "cache/rediscache/config.go", edits{
		"options.TLSConfig.InsecureSkipVerify && !o.InsecureNoTLS {",
		"options.TLSConfig.InsecureSkipVerify && o.Cluster && !o.InsecureNoTLS {",
	}, "./cache/rediscache", "TestSkipVerifyIsRefused"},
	{"PostgreSQL: encoding of the database not checked", "internal/sqldb/postgres.go", edits{
		"WHEN current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII')",
		"WHEN current_setting('server_encoding') = 'none'",
	}, "./internal/integration/databases", "TestDatabaseEncodings"},
}
