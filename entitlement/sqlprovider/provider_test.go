package sqlprovider_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db, c := sql.OpenDB(&fake{}), newCatalog(t)
	defer db.Close()
	for name, n := range map[string]struct {
		db      *sql.DB
		dialect sqlstore.Dialect
		catalog *entitlement.Catalog
		options sqlprovider.Options
		want    string
	}{
		"no database":        {nil, sqlstore.SQLite, c, sqlprovider.Options{}, "invalid db"},
		"no catalog":         {db, sqlstore.SQLite, nil, sqlprovider.Options{}, "invalid catalog"},
		"unknown dialect":    {db, "oracle", c, sqlprovider.Options{}, `unknown dialect "oracle"`},
		"capitals":           {db, sqlstore.SQLite, c, sqlprovider.Options{Table: "Plans"}, "Options.Table"},
		"a quote":            {db, sqlstore.MySQL, c, sqlprovider.Options{Table: "a`b"}, "Options.Table"},
		"a statement":        {db, sqlstore.PostgreSQL, c, sqlprovider.Options{Table: `a"; drop table b`}, "Options.Table"},
		"49 letters":         {db, sqlstore.PostgreSQL, c, sqlprovider.Options{Table: strings.Repeat("a", 49)}, "Options.Table"},
		"an index's name":    {db, sqlstore.SQLite, c, sqlprovider.Options{Table: "plans_at"}, "ending"},
		"an auxiliary table": {db, sqlstore.SQLite, c, sqlprovider.Options{Table: "plans_overrides"}, "ending"},
		"schema of SQLite":   {db, sqlstore.SQLite, c, sqlprovider.Options{Schema: "main"}, "Options.Schema"},
		"schema's name":      {db, sqlstore.PostgreSQL, c, sqlprovider.Options{Schema: "a.b"}, "Options.Schema"},
	} {
		if _, err := sqlprovider.New(n.db, n.dialect, n.catalog, &n.options); err == nil || !strings.Contains(err.Error(), n.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, n.want)
		}
	}
}

// The owner has the same name in all errors.
func TestInvalidOwners(t *testing.T) {
	t.Parallel()
	p, s := open(t, &fake{}, nil), entitlement.Subscription{ID: "1", Plan: "pro", Status: entitlement.Active, UpdatedAt: time.Now()}
	_, put := p.Put(t.Context(), s)
	_, moved := p.SetOwner(t.Context(), "stripe", "sub_1", "")
	for name, err := range map[string]error{"Put": put, "SetOwner": moved, "SetOverride": p.SetOverride(t.Context(), "", entitlement.Override{})} {
		var invalid *entitlement.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "Owner" {
			t.Errorf("%s: got %v, want an InvalidError of the field Owner", name, err)
		}
	}
}

func TestNewDoesNotConnect(t *testing.T) {
	t.Parallel()
	f := &fake{}
	open(t, f, nil)
	if n := f.count(); n != 0 {
		t.Errorf("statements that New sent: got %d, want 0", n)
	}
}
