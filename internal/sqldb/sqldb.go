// Package sqldb makes sure that a SQL database returns every row that a table
// holds. A row that the database leaves out would be taken for a key, or a
// plan, that does not exist. So a statement must fail instead, and a program
// must not start if it would.
//
// Statements here are written with question marks as placeholders.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Database is a kind of database.
type Database struct {
	name  string
	quote string // stands around names, so that a table can be called "order"

	// whole is a condition: true, or it fails the statement if rows of a table may
	// be left out. In it %s is the table's name as a literal.
	whole string

	// apart says that the condition must not stand in the WHERE clause itself.
	apart bool

	// home returns the name space of a table and, if there is no such table,
	// where else there is one. Its parameters are the table's name, twice.
	home string

	// faults returns what is wrong with some tables, one fault or NULL to a row.
	// Its parameters are their name space and, for each %s, their names.
	faults string

	// server identifies the server and the database.
	server string

	placeholder func(n int) string
}

// Whole returns a SELECT statement that returns the same rows and fails, saying
// why, if the database may leave out rows of one of the tables. The names of the
// tables are in quotes in it, as given.
//
// For PostgreSQL it returns a row of NULLs if there are no rows, see [IsEmpty].
func (d *Database) Whole(statement string, tables ...string) string {
	if d.whole == "" {
		return statement
	}
	var conditions []string
	for _, table := range tables {
		conditions = append(conditions, strings.ReplaceAll(d.whole, "%s", "'"+table+"'"))
	}
	condition := strings.Join(conditions, " AND ")
	if !d.apart {
		return strings.ReplaceAll(statement, "WHERE ", "WHERE "+condition+" AND ")
	}
	return "SELECT found.* FROM (VALUES (1)) AS one LEFT JOIN (" + statement + ") AS found ON true WHERE " + condition
}

// IsEmpty reports whether the current row has nothing but NULLs.
func IsEmpty(rows *sql.Rows) bool {
	columns, err := rows.Columns()
	if err != nil {
		return false
	}
	values, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	return rows.Scan(to...) == nil && !slices.ContainsFunc(values, func(v any) bool { return v != nil })
}

// A Queryer is a pool of connections, a connection or a transaction.
type Queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Home returns the name space in which the connection finds the table, or in
// which it would create it. It returns an error if there is no table there and
// one of this name elsewhere: a second, empty table would hide the rows of the
// first one.
func (d *Database) Home(ctx context.Context, q Queryer, table string) (string, error) {
	var home, others sql.NullString
	if err := q.QueryRowContext(ctx, d.Text(d.home), table, table).Scan(&home, &others); err != nil {
		return "", err
	}
	switch {
	case others.String != "":
		return "", fmt.Errorf("there is no table %s in the search path, but one in schema %s: set Options.Schema to the schema that is meant", table, others.String)
	case home.String == "":
		return "", errors.New("the connection has no schema, or no database, of its own: set Options.Schema")
	}
	return home.String, nil
}

// Check returns an error if the database may leave out rows of one of the
// tables, or cannot keep every text in them. Tables that do not exist are
// skipped.
func (d *Database) Check(ctx context.Context, db *sql.DB, schema string, tables ...string) error {
	args, marks := []any{schema}, strings.Repeat(", ?", len(tables))[2:]
	for range strings.Count(d.faults, "%s") {
		for _, table := range tables {
			args = append(args, table)
		}
	}
	rows, err := db.QueryContext(ctx, d.Text(strings.ReplaceAll(d.faults, "%s", marks)), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var fault sql.NullString
		if err := rows.Scan(&fault); err != nil {
			return err
		}
		if fault.Valid {
			return errors.New(fault.String)
		}
	}
	return rows.Err()
}

// CheckSame returns an error unless both pools lead to the same database of the
// same server. A replica returns what was so a while ago.
func (d *Database) CheckSame(ctx context.Context, writes, reads *sql.DB) error {
	var one, other sql.NullString
	if err := writes.QueryRowContext(ctx, d.server).Scan(&one); err != nil {
		return err
	}
	if err := reads.QueryRowContext(ctx, d.server).Scan(&other); err != nil {
		return err
	}
	if one != other {
		return fmt.Errorf("Options.Reads leads to another %s than the pool for writes, and a replica lags: %q, want %q",
			d.name, other.String, one.String)
	}
	return nil
}

// Text returns a statement with the database's own placeholders.
func (d *Database) Text(statement string) string {
	parts := strings.Split(statement, "?")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		b.WriteString(d.placeholder(i + 1))
		b.WriteString(part)
	}
	return b.String()
}

func questionMark(int) string { return "?" }
