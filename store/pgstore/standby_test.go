package pgstore_test

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// query returns the single value of a query.
func query(t testing.TB, dsn, statement string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), statement).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

// a standby lags, so a Store on it would accept revoked keys.
func TestStandbyIsRefused(t *testing.T) {
	t.Parallel()
	standby := testkit.StartPostgreSQL(t)
	standby.Standby()
	wantRefused(t, standby.DSN(), "read only", "the server is a standby")
	wantRefused(t, addParam(standby.DSN(), "target_session_attrs=standby"), "read only", "the server is a standby")

	// If there are two hosts, every connection goes to the one that accepts writes.
	primary := testkit.UsePostgreSQL(t)
	o := &pgstore.Options{Schema: testkit.CreateSchema(t, primary)}
	s := open(t, both(t, standby.DSN(), primary), o)
	insert(t, s, record("o", "k1"))
	if _, err := open(t, primary, o).Get(t.Context(), "o", "k1"); err != nil {
		t.Errorf("a write with a standby and a primary in the data source name failed: %v", err)
	}

	testkit.Execute(t, standby.DSN(), "SELECT pg_promote()")
	insert(t, open(t, standby.DSN(), nil), record("o", "k1"))
}

// both returns a data source name with two hosts and the same user and database.
func both(t *testing.T, first, second string) string {
	t.Helper()
	u, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	v, err := url.Parse(second)
	if err != nil {
		t.Fatal(err)
	}
	return "postgres://" + v.User.String() + "@" + u.Host + "," + v.Host + v.Path + "?" + v.RawQuery
}
