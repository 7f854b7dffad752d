package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Tables describes the tables of one package: one table, and its companions that are named
// after it.
type Tables struct {
	*Database
	Pool  *sql.DB // the pool that writes
	Names Names

	// Steps lists SQL files with default names. The first creates version 1 of the schema,
	// the next makes version 2 of it, and so on. Each sets the version itself, so that it
	// can also be run by hand.
	Steps []string

	binding sync.Mutex
	found   bool // Bind has found the schema
}

// Text adapts a statement to the database: its placeholders and the names of its
// tables. Nothing else is ever inserted into a statement.
func (t *Tables) Text(statement string) string {
	return t.Replace(t.Names, t.Database.Text(statement))
}

// Read adapts a SELECT statement. The adapted statement fails if the database may
// leave out rows of one of the tables, which are named by their endings.
func (t *Tables) Read(statement string, endings ...string) string {
	var tables []string
	for _, ending := range endings {
		tables = append(tables, t.Names.Default+ending)
	}
	return t.Text(t.Whole(statement, tables...))
}

// Schema returns the schema that statements name, or "" if there is none yet.
func (t *Tables) Schema() string {
	t.binding.Lock()
	defer t.binding.Unlock()
	return t.Names.Schema
}

// Bind finds the schema of the tables if none is set, and calls rename. From then on
// every statement must name the schema. Otherwise a connection with another search
// path, or a temporary table, would lead to other tables.
func (t *Tables) Bind(ctx context.Context, rename func() error) error {
	t.binding.Lock()
	defer t.binding.Unlock()
	if t.Names.Schema != "" {
		return nil
	}
	schema, err := t.Home(ctx, t.Pool, t.Names.Table)
	if err != nil {
		return err
	}
	t.Names.Schema, t.found = schema, true
	return rename()
}

// CheckRows returns an error if the database may leave out rows of the tables, by the
// connections of the pool. Tables that do not exist are skipped.
func (t *Tables) CheckRows(ctx context.Context, pool *sql.DB) error {
	tables := []string{t.Names.Table}
	for _, ending := range t.Names.Tables {
		tables = append(tables, t.Names.Table+ending)
	}
	return t.Check(ctx, pool, t.Names.Schema, tables...)
}

// Migrate brings the tables to the newest version. It changes nothing if they have it.
func (t *Tables) Migrate(ctx context.Context) error {
	// If this fails, usually because the table does not exist yet, the next step
	// returns the reason.
	version, err := t.version(ctx, t.Pool)
	if err == nil && version == len(t.Steps) {
		return t.checkIndexes(ctx, t.Pool)
	}
	return t.exclusively(ctx, t, func(e Execer) error { return t.migrate(ctx, e) })
}

// An Execer is a connection or a transaction.
type Execer interface {
	Queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (t *Tables) migrate(ctx context.Context, e Execer) error {
	version, err := t.lockVersion(ctx, e)
	if err != nil {
		return err
	}
	newest := len(t.Steps)
	if version < 0 || version > newest {
		return fmt.Errorf("table %s has schema version %d, this program knows versions up to %d", t.Names.Table, version, newest)
	}
	if version == 0 && t.found { // another process may have created the tables elsewhere by now
		if _, err := t.Home(ctx, e, t.Names.Table); err != nil {
			return err
		}
	}
	for ; version < newest; version++ {
		if err := t.run(ctx, e, t.Steps[version]); err != nil {
			return fmt.Errorf("from schema version %d to %d: %w", version, version+1, err)
		}
	}
	return t.checkIndexes(ctx, e)
}

// checkIndexes returns an error if the database does not use one of the indexes.
func (t *Tables) checkIndexes(ctx context.Context, q Queryer) error {
	if t.invalidIndexes == "" || len(t.Names.Indexes) == 0 {
		return nil
	}
	args := []any{t.Names.Schema}
	for _, ending := range t.Names.Indexes {
		args = append(args, t.Names.Table+ending)
	}
	marks := strings.Repeat(", ?", len(t.Names.Indexes))[2:]
	var invalid sql.NullString
	err := q.QueryRowContext(ctx, t.Database.Text(strings.ReplaceAll(t.invalidIndexes, "%s", marks)), args...).Scan(&invalid)
	if err == nil && invalid.Valid {
		err = fmt.Errorf("invalid index in schema %s: %s; a CREATE INDEX CONCURRENTLY has failed or has not ended yet: "+
			"if it has failed, drop the index and create it again", t.Names.Schema, invalid.String)
	}
	return err
}

// lockVersion writes before it reads the version, so that one of several processes goes
// first and the others see its changes. If another process writes between the two
// statements, SQLite refuses the second statement, and the migration is run again.
func (t *Tables) lockVersion(ctx context.Context, e Execer) (version int, err error) {
	table := t.Names.Default + "_version"
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS ` + table + ` (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`,
		`INSERT INTO ` + table + ` (id, version) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM ` + table + `) ` + t.IgnoreDuplicate,
	} {
		if _, err := e.ExecContext(ctx, t.Text(statement)); err != nil {
			return 0, err
		}
	}
	return t.version(ctx, e)
}

func (t *Tables) version(ctx context.Context, q Queryer) (version int, err error) {
	err = q.QueryRowContext(ctx, t.Text(`SELECT version FROM `+t.Names.Default+`_version WHERE id = 1`)).Scan(&version)
	return version, err
}

// run executes the statements of a file one by one, since some drivers do not accept
// several at once.
func (t *Tables) run(ctx context.Context, e Execer, file string) error {
	names := t.Names
	if !t.schemas { // SQLite refuses a CREATE INDEX that names the schema of its table
		names.Schema = ""
	}
	for statement := range strings.SplitSeq(file, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		_, err := e.ExecContext(ctx, t.Replace(names, statement))
		if err != nil && (t.isApplied == nil || !t.isApplied(err)) {
			return err
		}
	}
	return nil
}

// exclusivelyInTransaction migrates in a transaction that begins with a statement for which
// other processes wait.
func exclusivelyInTransaction(lock string) func(context.Context, *Tables, func(Execer) error) error {
	return func(ctx context.Context, t *Tables, do func(Execer) error) error {
		return t.RetryBusy(ctx, func() error { return t.transact(ctx, lock, do) })
	}
}

func (t *Tables) transact(ctx context.Context, lock string, do func(Execer) error) error {
	tx, err := t.Pool.BeginTx(ctx, &sql.TxOptions{Isolation: t.Isolation})
	if err != nil {
		return err
	}
	defer Within(ctx, tx.Rollback) // an earlier error says more
	if lock != "" {
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
		return err
	}
	return Within(ctx, tx.Commit)
}

// exclusivelyByName holds a named lock, since MySQL commits before and after each statement
// that changes a schema.
func exclusivelyByName(ctx context.Context, t *Tables, do func(Execer) error) error {
	conn, err := t.Pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const name = "CONCAT('keyhatch ', LEFT(SHA2(COALESCE(NULLIF(?, ''), DATABASE(), ''), 256), 32))" // at most 64 characters
	var locked sql.NullBool
	err = conn.QueryRowContext(ctx, "SELECT GET_LOCK("+name+", ?)", t.Names.Schema, int(retryTimeout.Seconds())).Scan(&locked)
	if err != nil {
		return err
	}
	if !locked.Bool {
		return fmt.Errorf("another process has been migrating for more than %v", retryTimeout)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, failed := conn.ExecContext(ctx, "DO RELEASE_LOCK("+name+")", t.Names.Schema)
		if failed != nil { // closing the connection releases the lock
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return t.RetryBusy(ctx, func() error { return do(conn) })
}

// CheckSettings returns an error if a setting of the pool's connections would
// corrupt strings or return old rows.
func (d *Database) CheckSettings(ctx context.Context, pool *sql.DB) error {
	if d.settingsFault == "" {
		return nil
	}
	var reason sql.NullString
	if err := pool.QueryRowContext(ctx, d.settingsFault).Scan(&reason); err != nil {
		return err
	}
	if reason.Valid {
		return errors.New(reason.String)
	}
	return nil
}
