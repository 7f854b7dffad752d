package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Migrate creates the tables, or updates those that an earlier version of this
// package created. Then it does what [Provider.Check] does. Call it before the
// first use. If the tables are up to date, it changes nothing and needs no
// right but to read them. Any number of processes may call it at once.
//
// It returns an error if
//   - the tables have a later version than this package knows, or were not
//     created by this package,
//   - the database cannot be written to,
//   - a setting of the connections, or an encoding, would corrupt text, or
//   - the database may leave out rows, since an owner whose row is left out
//     would be refused as if they had bought nothing. The documentation of
//     package sqlstore states when that is.
//
// If Options name no schema, Migrate looks for the tables in the search path
// and uses the schema in which it finds them. If they are only in a schema
// outside the search path, Migrate returns an error and does not create them.
//
// The version is kept in a table of its own, whose name is the first table's
// name with the ending "_version", since the rest of the database belongs to
// the host.
func (p *Provider) Migrate(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return wrap("migrate", err)
	}
	return p.Check(ctx)
}

func (p *Provider) prepare(ctx context.Context) error {
	err := p.retryBusy(ctx, func() error {
		if err := p.checkSettings(ctx); err != nil {
			return err
		}
		if err := p.bind(ctx); err != nil {
			return err
		}
		return p.checkTables(ctx)
	})
	if err != nil {
		return err
	}
	// If this fails, usually because the table does not exist yet, the next
	// step returns the reason.
	version, err := p.version(ctx, p.db)
	if err != nil || version != len(p.dialect.schema) {
		err = p.dialect.exclusively(ctx, p, func(e execer) error { return p.migrate(ctx, e) })
	}
	if err != nil {
		return err
	}
	return p.checkReadable(ctx)
}

// bind names the tables' schema in every statement from now on. Otherwise a
// connection with another search path, or a temporary table, would lead to
// other tables.
func (p *Provider) bind(ctx context.Context) error {
	p.binding.Lock()
	defer p.binding.Unlock()
	if p.schema != "" {
		return nil
	}
	schema, err := p.dialect.db.Home(ctx, p.db, p.table)
	if err != nil {
		return err
	}
	p.schema, p.found = schema, true
	p.sql = p.statements()
	return nil
}

// checkTables returns an error if the database may leave out rows of the
// existing tables.
func (p *Provider) checkTables(ctx context.Context) error {
	return p.dialect.db.Check(ctx, p.db, p.schema, p.table, p.table+"_overrides", p.table+"_events", p.table+"_version")
}

// checkSettings returns an error if a setting of the connections is wrong.
func (p *Provider) checkSettings(ctx context.Context) error {
	if p.dialect.settingsFault == "" {
		return nil
	}
	var reason sql.NullString
	if err := p.db.QueryRowContext(ctx, p.dialect.settingsFault).Scan(&reason); err != nil {
		return err
	}
	if reason.Valid {
		return errors.New(reason.String)
	}
	return nil
}

// checkReadable returns an error if rows may be left out, or if a table is another one
// with the same name. MySQL, for example, does not create a table whose name
// exists.
func (p *Provider) checkReadable(ctx context.Context) error {
	if err := p.retryBusy(ctx, func() error { return p.checkTables(ctx) }); err != nil {
		return err
	}
	_, _, err := p.readOwner(ctx, "")
	if err == nil {
		_, err = p.written(ctx, 0, 0)
	}
	if err == nil {
		_, err = p.rejected(ctx, 1)
	}
	if err != nil {
		return fmt.Errorf("cannot read table %s or one of the tables named after it: %w", p.table, err)
	}
	return nil
}

// An execer is a connection or a transaction.
type execer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// migrateInTransaction migrates in a transaction that begins with a statement for
// which other processes wait.
func migrateInTransaction(lock string) func(context.Context, *Provider, func(execer) error) error {
	return func(ctx context.Context, p *Provider, migrate func(execer) error) error {
		return p.retryBusy(ctx, func() error { return p.transact(ctx, lock, migrate) })
	}
}

func (p *Provider) transact(ctx context.Context, lock string, migrate func(execer) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: p.dialect.isolation})
	if err != nil {
		return err
	}
	defer tx.Rollback() // its error says less than the one that is returned
	if lock != "" {
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	if err := migrate(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (p *Provider) migrate(ctx context.Context, e execer) error {
	version, err := p.lockVersion(ctx, e)
	if err != nil {
		return err
	}
	newest := len(p.dialect.schema)
	if version < 0 || version > newest {
		return fmt.Errorf("table %s has schema version %d, this program knows versions up to %d", p.table, version, newest)
	}
	if version == 0 && p.found { // another process may have created the tables elsewhere by now
		if _, err := p.dialect.db.Home(ctx, e, p.table); err != nil {
			return err
		}
	}
	for ; version < newest; version++ {
		if err := p.run(ctx, e, p.dialect.schema[version]); err != nil {
			return fmt.Errorf("from schema version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

// lockVersion writes before it reads, so that of several processes one goes
// first and the others see what it has done.
func (p *Provider) lockVersion(ctx context.Context, e execer) (version int, err error) {
	for _, statement := range []string{p.sql.createVersion, p.sql.noVersion} {
		if _, err := e.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	return p.version(ctx, e)
}

func (p *Provider) version(ctx context.Context, e execer) (version int, err error) {
	err = e.QueryRowContext(ctx, p.sql.version).Scan(&version)
	return version, err
}

// run executes the statements of a file one by one, since some drivers do not
// accept several at once.
func (p *Provider) run(ctx context.Context, e execer, file string) error {
	schema := p.schema
	if !p.dialect.schemas { // SQLite creates an index in the schema of its table, and refuses a statement that names it
		schema = ""
	}
	for statement := range strings.SplitSeq(file, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := e.ExecContext(ctx, p.named(schema, statement)); err != nil {
			return err
		}
	}
	return nil
}
