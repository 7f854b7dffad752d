package plans_test

import (
	"io"
	"log"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("KEYHATCH_PUT"); dsn != "" {
		os.Exit(putFromAProcess(dsn))
	}
	mysql.SetLogger(log.New(io.Discard, "", 0)) // it would log connections that tests cut on purpose
	os.Exit(testkit.Run(m))
}
