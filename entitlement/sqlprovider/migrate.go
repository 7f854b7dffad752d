package sqlprovider

import (
	"context"
	"fmt"

	"github.com/keyhatch/keyhatch/internal/sqldb"
)

// Migrate creates the tables, or updates those that an earlier version of this package
// created. Then it does what [Provider.Check] does. Call it before the first use. If
// the tables are up to date, it changes nothing and needs only the right to read them.
// Any number of processes may call it at once.
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
	err := p.tables.RetryBusy(ctx, func() error {
		if err := p.tables.CheckSettings(ctx, p.tables.Pool); err != nil {
			return err
		}
		err := p.tables.Bind(ctx, func() error {
			p.sql = newStatements(p.dialect, p.tables)
			return nil
		})
		if err != nil {
			return err
		}
		return p.tables.CheckRows(ctx, p.tables.Pool)
	})
	if err == nil {
		err = p.tables.Migrate(ctx)
	}
	if err == nil {
		err = p.checkReadable(ctx)
	}
	return sqldb.WithContextError(ctx, err)
}

// checkReadable returns an error if rows may be left out, or if a table is another one
// with the same name. MySQL, for example, does not create a table whose name exists.
func (p *Provider) checkReadable(ctx context.Context) error {
	err := p.tables.RetryBusy(ctx, func() error { return p.tables.CheckRows(ctx, p.tables.Pool) })
	if err != nil {
		return err
	}
	_, err = p.readOwner(ctx, " ")
	if err == nil {
		_, err = p.written(ctx, 0, 0)
	}
	if err == nil {
		_, err = p.rejected(ctx, 1)
	}
	if err != nil {
		return fmt.Errorf("cannot read table %s or one of the tables named after it: %w", p.tables.Names.Table, err)
	}
	return nil
}
