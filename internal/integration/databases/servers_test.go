package databases_test

import (
	"database/sql"
	"io"
	"log"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("KEYHATCH_ROLE"); role != "" {
		os.Exit(play(role))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it would log connections that are cut on purpose
	os.Exit(testkit.Run(m))
}

// mysqlDSN returns the data source name of a new database, which is dropped after the test. The
// parameters are the driver's, such as "parseTime=true&charset=latin1".
func mysqlDSN(t testing.TB, params string) string {
	t.Helper()
	return withMySQLParams(testkit.UseDatabase(t), params)
}

// mysqlDB returns a pool of connections to a new database.
func mysqlDB(t testing.TB, params string) *sql.DB {
	t.Helper()
	return testkit.OpenDB(t, "mysql", mysqlDSN(t, params))
}

// withMySQLParams adds parameters to a data source name.
func withMySQLParams(dsn, params string) string {
	if params == "" {
		return dsn
	}
	if strings.Contains(dsn, "?") {
		return dsn + "&" + params
	}
	return dsn + "?" + params
}

func parsed(dsn string) *url.URL {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return u
}

func parsedMySQL(dsn string) *mysql.Config {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		panic(err)
	}
	return config
}
