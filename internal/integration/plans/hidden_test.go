package plans_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/entitlement"
	"github.com/keyhatch/keyhatch/entitlement/sqlprovider"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// isOutage fails unless err counts as an outage with this cause.
func isOutage(t *testing.T, err error, cause, what string) {
	t.Helper()
	if err == nil || errors.Is(err, entitlement.ErrNone) || !strings.Contains(err.Error(), cause) {
		t.Errorf("%s: got %v, want an outage with %q", what, err, cause)
	}
}

// readsFail fails unless every call that reads returns an outage with this cause.
func readsFail(t *testing.T, p *sqlprovider.Provider, cause string) {
	t.Helper()
	for _, owner := range []string{"ann", "nobody"} {
		_, err := p.Entitlement(t.Context(), owner)
		isOutage(t, err, cause, "Entitlement of "+owner)
		_, err = p.Purchases(t.Context(), owner)
		isOutage(t, err, cause, "Purchases of "+owner)
	}
	isOutage(t, p.Check(t.Context()), cause, "Check")
}

// with row-level security, no owner looks like one who has bought nothing. Migrate
// refuses it. If it is enabled later, calls return outage errors, whether or not it hides rows.
func TestRowLevelSecurity(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"keyhatch_plans", "keyhatch_plans_overrides", "keyhatch_plans_records"} {
		for _, policy := range []string{"", "CREATE POLICY p ON " + table + " USING (owner <> 'ann')"} {
			t.Run(table+" "+policy, func(t *testing.T) {
				t.Parallel()
				d := databases[1]
				dsn := d.dsn(t)
				admin := testkit.OpenDB(t, d.driver, dsn)
				migrated(t, d, admin)
				p := migrated(t, d, testkit.OpenDB(t, d.driver, worker(t, dsn)))
				put(t, p, bought("ann", "sub_1", "pro"), true)
				apply(t, p, reportedAt(1, sold("bob", "sub_2", "pro")))

				if policy != "" {
					testkit.ExecuteOn(t, admin, policy)
				}
				testkit.ExecuteOn(t, admin, "ALTER TABLE "+table+" ENABLE ROW LEVEL SECURITY")
				const cause = "row-level security may hide rows"
				if table != "keyhatch_plans_overrides" {
					readsFail(t, p, cause)
				} else {
					_, err := p.Entitlement(t.Context(), "ann")
					isOutage(t, err, cause, "Entitlement without the override")
					_, err = p.Override(t.Context(), "ann")
					isOutage(t, err, cause, "Override")
				}
				isOutage(t, p.Migrate(t.Context()), cause+" of "+table, "Migrate")
				testkit.ExecuteOn(t, admin, "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY")
				if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess {
					t.Errorf("with row-level security disabled: got %+v, %v, want access", e, err)
				}
			})
		}
	}
}

// worker returns the data source name of a user with the rights that the documentation
// of sqlprovider lists.
func worker(t *testing.T, dsn string) string {
	t.Helper()
	name, schema := testkit.NewName(), testkit.GetParam(dsn, "search_path")
	testkit.Execute(t, dsn, strings.NewReplacer("NAME", name, "PLACE", schema).Replace(`CREATE ROLE NAME LOGIN PASSWORD 'NAME';
		GRANT USAGE ON SCHEMA PLACE TO NAME; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA PLACE TO NAME;
		GRANT DELETE ON PLACE.keyhatch_plans_rejected TO NAME`))
	t.Cleanup(func() { testkit.Execute(t, dsn, "DROP OWNED BY "+name+"; DROP ROLE "+name) })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, name)
	return u.String()
}

// with a view in place of the table, no owner looks like one who has bought nothing.
// For SQLite, only Migrate checks that.
func TestViewInPlaceOfATable(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		p, db := d.start(t)
		put(t, p, bought("ann", "sub_1", "pro"), true)
		testkit.ExecuteOn(t, db, "ALTER TABLE keyhatch_plans RENAME TO elsewhere")
		testkit.ExecuteOn(t, db, "CREATE VIEW keyhatch_plans AS SELECT * FROM elsewhere WHERE owner <> 'ann'")
		if d.dialect != sqlstore.SQLite {
			_, err := p.Entitlement(t.Context(), "ann")
			isOutage(t, err, "", "Entitlement")
		}
		isOutage(t, newProvider(t, d, db, nil).Migrate(t.Context()), "view", "Migrate")
	})
}

// A report of an event that was never rejected needs no right to delete.
func TestApplyWithoutTheRightToDelete(t *testing.T) {
	t.Parallel()
	d := databases[1]
	dsn := d.dsn(t)
	admin := testkit.OpenDB(t, d.driver, dsn)
	migrated(t, d, admin)
	db := testkit.OpenDB(t, d.driver, worker(t, dsn))
	p := migrated(t, d, db)
	testkit.ExecuteOn(t, admin, "REVOKE DELETE ON keyhatch_plans_rejected FROM "+testkit.QueryValue[string](t, db, "SELECT current_user"))
	apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
	saveRejected(t, p, rejectedAt(2, ""))
	_, err := p.Apply(t.Context(), reportedAt(2, sold("ann", "sub_1", "pro")))
	isOutage(t, err, "permission denied", "Apply of an event that was rejected")
}

// A read of an owner's purchases uses the index of the records that belong to another one.
// SQLite would choose to read all records of the billing system.
func TestReadsUseTheIndex(t *testing.T) {
	forEach(t, func(t *testing.T, d database) {
		if d.dialect == sqlstore.PostgreSQL {
			t.Skip("PostgreSQL has no statement that depends on an index")
		}
		p, db := d.start(t)
		apply(t, p, reportedAt(1, sold("ann", "sub_1", "pro")))
		drop := "DROP INDEX keyhatch_plans_parent"
		if d.dialect == sqlstore.MySQL {
			drop += " ON keyhatch_plans_records"
		}
		testkit.ExecuteOn(t, db, drop)
		_, err := p.Entitlement(t.Context(), "ann")
		isOutage(t, err, "keyhatch_plans_parent", "Entitlement without the index")
	})
}

// another search path does not lead to other plans or create tables.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	d := databases[1]
	dsn, other := d.dsn(t), d.dsn(t)
	db := testkit.OpenDB(t, d.driver, dsn)
	db.SetMaxOpenConns(1)
	o := &sqlprovider.Options{Table: "only_" + testkit.NewName()}
	open := func(dsn string) error {
		p, err := sqlprovider.New(testkit.OpenDB(t, d.driver, dsn), d.dialect, catalog(t), o)
		if err != nil {
			t.Fatal(err)
		}
		return p.Migrate(t.Context())
	}
	p, err := sqlprovider.New(db, d.dialect, catalog(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, p, bought("ann", "sub_1", "pro"), true)
	isOutage(t, open(other), "one in schema "+testkit.GetParam(dsn, "search_path")+": set Options.Schema", "Migrate by another search path")

	testkit.ExecuteOn(t, db, "CREATE TEMPORARY TABLE "+o.Table+" AS SELECT * FROM "+o.Table+" WHERE owner = ''")
	testkit.ExecuteOn(t, db, "SET search_path = "+testkit.GetParam(other, "search_path"))
	if e, err := p.Entitlement(t.Context(), "ann"); err != nil || !e.APIAccess {
		t.Errorf("after the search path changed: got %+v, %v, want access", e, err)
	}
}

// Migrate refuses an encoding that cannot represent some owners.
func TestDatabaseEncoding(t *testing.T) {
	t.Parallel()
	d := databases[1]
	server, name := testkit.UsePostgreSQL(t), testkit.NewName()
	testkit.Execute(t, server, "CREATE DATABASE "+name+" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
	t.Cleanup(func() { testkit.Execute(t, server, "DROP DATABASE "+name) })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	db := testkit.OpenDB(t, d.driver, testkit.SetParam(u.String(), "client_encoding", "UTF8"))
	isOutage(t, newProvider(t, d, db, nil).Migrate(t.Context()), "the encoding of the database is LATIN1", "Migrate")
}
