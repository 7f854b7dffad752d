package sqlprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Migrate creates the tables, or brings those that an earlier version of this
// package created up to date, and then does what [Provider.Check] does. Call it
// before the first use. It leaves current tables alone, which takes no more rights
// than to read them. Any number of processes may call it at once.
//
// It returns an error if the tables are of a later version than this package
// knows or somebody else's, if the database cannot be written to, and if a
// setting of the connections or an encoding would let texts go wrong. It also
// returns an error if the database may leave out rows, since an owner whose row is
// left out would be refused as one who has bought nothing; package sqlstore says
// when that is. If Options name no schema, Migrate looks for the tables in the
// search path, keeps to the schema in which it finds them, and does not create
// them if they are in a schema outside the search path.
//
// The version is kept in a table of its own, named after the first one with
// the ending "_version", since the rest of the database is the host's.
func (p *Provider) Migrate(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return verb("migrate", err)
	}
	return p.Check(ctx)
}

func (p *Provider) prepare(ctx context.Context) error {
	err := p.patiently(ctx, func() error {
		if err := p.fit(ctx); err != nil {
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
	// If this fails, most often because the table is not there yet, the next
	// step returns the reason.
	version, err := p.version(ctx, p.db)
	if err != nil || version != len(p.dialect.schema) {
		err = p.dialect.alone(ctx, p, func(e execer) error { return p.migrate(ctx, e) })
	}
	if err != nil {
		return err
	}
	return p.ours(ctx)
}

// bind names the tables' schema in every statement from now on. Otherwise a
// connection with another search path, or a temporary table, would lead to other
// tables.
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

// checkTables returns an error if the database may leave out rows of the tables that
// are there.
func (p *Provider) checkTables(ctx context.Context) error {
	return p.dialect.db.Check(ctx, p.db, p.schema, p.table, p.table+"_overrides", p.table+"_events", p.table+"_version")
}

// fit fails when a setting of the connections is wrong.
func (p *Provider) fit(ctx context.Context) error {
	if p.dialect.unfit == "" {
		return nil
	}
	var reason sql.NullString
	if err := p.db.QueryRowContext(ctx, p.dialect.unfit).Scan(&reason); err != nil {
		return err
	}
	if reason.Valid {
		return errors.New(reason.String)
	}
	return nil
}

// ours returns an error if rows may be left out, and if a table is another one
// that has the same name, as when MySQL did not create it since there was one.
func (p *Provider) ours(ctx context.Context) error {
	if err := p.patiently(ctx, func() error { return p.checkTables(ctx) }); err != nil {
		return err
	}
	_, _, err := p.owned(ctx, "")
	if err == nil {
		_, err = p.written(ctx, 0, 0)
	}
	if err == nil {
		_, err = p.refused(ctx, 1)
	}
	if err != nil {
		return fmt.Errorf("table %s, or one beside it, cannot be read: %w", p.table, err)
	}
	return nil
}

// Connections and transactions can be told.
type execer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// aloneInTransaction migrates in a transaction that begins with a statement
// for which others wait.
func aloneInTransaction(lock string) func(context.Context, *Provider, func(execer) error) error {
	return func(ctx context.Context, p *Provider, do func(execer) error) error {
		return p.patiently(ctx, func() error { return p.transact(ctx, lock, do) })
	}
}

func (p *Provider) transact(ctx context.Context, lock string, do func(execer) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: p.dialect.isolation})
	if err != nil {
		return err
	}
	defer tx.Rollback() // the first error says more
	if lock != "" {
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
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

// lockVersion writes before it reads, so that of several processes that meet
// here one goes first and the others see what it did.
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

// run sends the statements of a file one by one: not every driver takes
// several at once.
func (p *Provider) run(ctx context.Context, e execer, file string) error {
	schema := p.schema
	if !p.dialect.schemas { // SQLite creates an index beside its table, and refuses to be told where that is
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
