package sqldb

import "strings"

// Names are the names of a table, of the tables beside it and of their indexes:
// each is the name of the table with an ending.
type Names struct {
	Default string // the table's name in statements
	Table   string // its name in the database
	Schema  string // the name space of the tables; "" is the connection's own

	// Endings of the tables beside it and of the indexes. No ending may begin with
	// another one that comes earlier.
	Tables, Indexes []string
}

// Replace puts the names into a statement that has the default ones. An index
// lies in the name space of its table, and is created without saying so.
func (d *Database) Replace(n Names, statement string) string {
	var pairs []string
	for _, ending := range n.Indexes {
		pairs = append(pairs, n.Default+ending, d.quoted(n.Table+ending))
	}
	for _, ending := range append(n.Tables[:len(n.Tables):len(n.Tables)], "") { // the shortest last
		name := d.quoted(n.Table + ending)
		if n.Schema != "" {
			name = d.quoted(n.Schema) + "." + name
		}
		// In quotes it is a literal. A schema that was found may have any name.
		pairs = append(pairs, "'"+n.Default+ending+"'", "'"+strings.ReplaceAll(name, "'", "''")+"'", n.Default+ending, name)
	}
	return strings.NewReplacer(pairs...).Replace(statement)
}

func (d *Database) quoted(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}
