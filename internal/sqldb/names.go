package sqldb

import (
	"fmt"
	"regexp"
	"strings"
)

// Names holds the names of a table, of its companion tables and of their indexes.
// Each name is the table's name plus an ending.
type Names struct {
	Default string // the table's name in the statements
	Table   string // its name in the database
	Schema  string // the schema of the tables; "" is the connection's default

	// Endings of the companion tables and of the indexes. No ending may begin with
	// an earlier one.
	Tables, Indexes []string
}

// Replace replaces the default names in a statement. Index names get no schema,
// since an index is always in the schema of its table.
func (d *Database) Replace(n Names, statement string) string {
	var pairs []string
	for _, ending := range n.Indexes {
		pairs = append(pairs, n.Default+ending, d.quoted(n.Table+ending))
	}
	for _, ending := range append(n.Tables[:len(n.Tables):len(n.Tables)], "") { // the shortest name last
		name := d.quoted(n.Table + ending)
		if n.Schema != "" {
			name = d.quoted(n.Schema) + "." + name
		}
		// A name in quotes is a literal. The schema may have any name, so it is escaped.
		pairs = append(pairs, "'"+n.Default+ending+"'", "'"+strings.ReplaceAll(name, "'", "''")+"'", n.Default+ending, name)
	}
	return strings.NewReplacer(pairs...).Replace(statement)
}

func (d *Database) quoted(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}

// PostgreSQL truncates names after 63 bytes, endings included.
var validName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// Refusing these endings keeps the names of any two tables apart.
var endings = regexp.MustCompile(`_(at|overrides|events|version|list|live|replaced|current|owners|revocations|records|rejected|owner|parent|customer)$`)

// CheckNames returns an error unless the host's names of a table and its schema are valid. It
// also returns the name of the invalid option. The schema may be empty.
func (d *Database) CheckNames(table, schema string) (option string, err error) {
	switch {
	case !validName.MatchString(table):
		return "Options.Table", fmt.Errorf("%q does not match %s", table, validName)
	case endings.MatchString(table):
		return "Options.Table", fmt.Errorf("%q must not have an ending of keyhatch's other tables and indexes: %s", table, endings)
	case schema != "" && !d.schemas:
		return "Options.Schema", fmt.Errorf("a %s has no schemas, got %q", d.name, schema)
	case schema != "" && !validName.MatchString(schema):
		return "Options.Schema", fmt.Errorf("%q does not match %s", schema, validName)
	}
	return "", nil
}
