package sqldb

import "strings"

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
