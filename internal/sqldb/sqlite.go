package sqldb

import (
	"database/sql"
	"errors"
	"strings"
)

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

	Isolation:       sql.LevelSerializable, // SQLite has no other
	IgnoreDuplicate: "ON CONFLICT DO NOTHING",
	exclusively:     exclusivelyInTransaction(""), // lockVersion writes, and SQLite has one writer at a time

	// The low byte of a result code is the primary code.
	IsMissing: func(err error) bool { return strings.Contains(err.Error(), "no such table") }, // its code means any error
	IsBusy: func(err error) bool {
		const busy = 5
		var coded interface{ Code() int }
		return errors.As(err, &coded) && coded.Code()&0xff == busy
	},
}
