// Package sqldb holds the code that packages with tables in a SQL database share: the
// differences between databases, table names, migrations and retries.
//
// It makes sure that the database returns every row of a table. If the database left out
// a row, its key or plan would seem not to exist. So a statement fails instead, and a
// program whose statements would fail refuses to start.
//
// Statements use question marks as placeholders, and default names of tables.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Database describes a kind of database.
type Database struct {
	name  string
	quote string // quotes names, so that a table can be called "order"

	// whole is a condition. It is true if every row of a table is visible, and
	// makes the statement fail otherwise. In it, %s stands for the table's name as
	// a literal.
	whole string

	// outsideWhere reports that whole must not be part of the WHERE clause.
	outsideWhere bool

	// home returns the schema in which the connection finds a table, or its default
	// schema if it finds none. In that case, home may also return the other schemas
	// that have such a table. Its parameters are the table's name, twice.
	home string

	// faults returns one row per fault of the given tables; a row may be NULL. Its
	// parameters are the schema and, for each %s, the table names.
	faults string

	// invalidIndexes returns the names of indexes that the database does not use, or
	// NULL. Its parameters are the schema and, for %s, the names of indexes. It is empty
	// if the database has no such indexes.
	invalidIndexes string

	// server identifies the server and the database.
	server string

	placeholder func(n int) string

	// schemas reports whether the database has schemas, so that tables with the same
	// name may exist in several.
	schemas bool

	// Isolation is the isolation level of transactions that write, independent of the
	// defaults of the server and the connection.
	Isolation sql.IsolationLevel

	// IsBusy reports whether a statement failed because of another one, and may succeed
	// if its transaction is run again.
	IsBusy func(error) bool

	// IsMissing reports whether a statement failed because a table does not exist.
	IsMissing func(error) bool

	// settingsFault returns the fault of a connection's settings, or NULL.
	settingsFault string

	// IgnoreDuplicate ends an INSERT so that it inserts nothing, without an error, if a
	// unique value already exists. It is empty if the database has no such clause.
	IgnoreDuplicate string

	// exclusively migrates tables while no other process does.
	exclusively func(ctx context.Context, t *Tables, do func(Execer) error) error

	// isApplied reports whether a step of the schema failed because an earlier attempt
	// has already done it. It is nil if a failed migration leaves nothing behind.
	isApplied func(error) bool
}

// Whole returns a SELECT statement that returns the same rows as the given one, or
// fails if the database may leave out rows of one of the tables. The error gives
// the reason. The result holds the table names in quotes, as given.
//
// For PostgreSQL, the new statement returns a row of NULLs if there are no rows;
// see [IsEmpty].
func (d *Database) Whole(statement string, tables ...string) string {
	if d.whole == "" {
		return statement
	}
	var conditions []string
	for _, table := range tables {
		conditions = append(conditions, strings.ReplaceAll(d.whole, "%s", "'"+table+"'"))
	}
	condition := strings.Join(conditions, " AND ")
	if !d.outsideWhere {
		return strings.ReplaceAll(statement, "WHERE ", "WHERE "+condition+" AND ")
	}
	return "SELECT found.* FROM (VALUES (1)) AS one LEFT JOIN (" + statement + ") AS found ON true WHERE " + condition
}

// IsEmpty reports whether all columns of the current row are NULL.
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

// A Queryer is a connection pool, a connection or a transaction.
type Queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Home returns the schema in which the connection finds the table, or would create
// it. It returns an error if that schema has no such table but another schema
// does: a second, empty table would hide the rows of the first.
func (d *Database) Home(ctx context.Context, q Queryer, table string) (string, error) {
	var home, others sql.NullString
	if err := q.QueryRowContext(ctx, d.Text(d.home), table, table).Scan(&home, &others); err != nil {
		return "", err
	}
	switch {
	case others.String != "":
		return "", fmt.Errorf("there is no table %s in the search path, but there is one in schema %s: set Options.Schema to the schema to use", table, others.String)
	case home.String == "":
		return "", errors.New("the connection has no default schema or database: set Options.Schema")
	}
	return home.String, nil
}

// Check returns an error if the database may leave out rows of one of the tables,
// or cannot store every string in them. Tables that do not exist are skipped.
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

// CheckSame returns an error unless both pools lead to the same database on the
// same server. A replica would return old rows.
func (d *Database) CheckSame(ctx context.Context, writes, reads *sql.DB) error {
	var one, other sql.NullString
	if err := writes.QueryRowContext(ctx, d.server).Scan(&one); err != nil {
		return err
	}
	if err := reads.QueryRowContext(ctx, d.server).Scan(&other); err != nil {
		return err
	}
	if one != other {
		return fmt.Errorf("Options.Reads leads to another %s than the pool for writes, and a replica lags: got %q, want %q",
			d.name, other.String, one.String)
	}
	return nil
}

// Text returns the statement with the database's own placeholders.
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
