package sqldb

// SQLite is SQLite 3.41 or later. Its statements name the schema main, since
// temporary tables and attached files could hide the tables of the file otherwise.
var SQLite = Database{
	name:  "SQLite file",
	quote: `"`,
	home:  `SELECT 'main', NULL WHERE ? = ?`,
	faults: `SELECT name || ' is a view, which may hide rows' FROM main.sqlite_schema WHERE type = 'view' AND ? = 'main' AND name IN (%s)
		UNION ALL SELECT name || ' is hidden by a temporary table' FROM sqlite_temp_schema WHERE name IN (%s)`,
	server:      `SELECT file FROM pragma_database_list WHERE name = 'main'`,
	placeholder: questionMark,
}
