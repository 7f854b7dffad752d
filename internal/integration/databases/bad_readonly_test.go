package databases_test

import (
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// If a database is read-only, keys are still accepted.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	with := func(params string) func(string) string { return func(dsn string) string { return dsn + params } }
	byDefault := func(dsn string) string { return testkit.SetParam(dsn, "default_transaction_read_only", "on") }
	for name, c := range map[string]struct {
		database
		spoil func(dsn string) string
		cause string
	}{
		"SQLite opened for reading": {databases[0], with("&mode=ro"), "readonly database"},
		"SQLite told to read only":  {databases[0], with("&_pragma=query_only(ON)"), "readonly database"},
		"PostgreSQL by default":     {databases[1], byDefault, "read-only transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := c.dsn(t)
			s := sqlStore(t, c.dialect, testkit.OpenDB(t, c.driver, dsn))
			had := someKeys(t, s)
			bad := newStore(t, c.dialect, testkit.OpenDB(t, c.driver, c.spoil(dsn)), nil)
			writesFail(t, callEach(t.Context(), bad), c.cause)
			recovered(t, s, had)
		})
	}
}
