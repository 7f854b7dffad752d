package databases_test

import (
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/sqlstore"
)

// fillRows makes the database generate n rows, called k0, k1 and so on. Every fifth belongs to one
// owner, all of whose keys except ten are replaced, expired or revoked. The others belong to
// owners with a hundred keys each, a tenth of them ended.
func fillRows(t testing.TB, db *sql.DB, d sqlstore.Dialect, n int) {
	t.Helper()
	text := strings.NewReplacer("DIGEST", filler[d].digest, "NUMBERS", filler[d].numbers, "ORDER", filler[d].order).Replace(fillText)
	text = strings.NewReplacer("OWNERS", fmt.Sprint(n/100), "EPOCH", fmt.Sprint(epoch.UnixMicro()), "ROWS", fmt.Sprint(n)).Replace(text)
	testkit.ExecuteOn(t, db, text)
	for _, statement := range filler[d].after {
		testkit.ExecuteOn(t, db, statement)
	}
}

const fillText = `INSERT INTO keyhatch_keys (digest, id, owner, name, hint, created_by, scopes, metadata,
		replaced_by, created_at, expires_at, revoked_at, revoke_reason)
	SELECT DIGEST AS digest, CONCAT('k', i), CASE WHEN i % 5 = 0 THEN 'big' ELSE CONCAT('o', i % OWNERS) END,
		'a key', 'key_ab', 'admin', '["a:read"]', CONCAT('{"id":"k', i, '"}'),
		CASE WHEN state = 1 THEN 'next' ELSE '' END, at,
		CASE WHEN state = 2 THEN at + 1 WHEN i % 2 = 0 THEN 4102444800000000 END,
		CASE WHEN state = 3 THEN at + 2 END, ''
	FROM (SELECT i, EPOCH + i * 1000 AS at,
		CASE WHEN i % 5 = 0 AND i < 50 THEN 0 WHEN i % 5 = 0 THEN 1 + i % 3
			WHEN i % 30 < 4 THEN i % 30 ELSE 0 END AS state
		FROM NUMBERS) AS numbers ORDER`

// bigOwner has very many keys, and smallOwner a hundred. Those of endedOwner have ended.
const bigOwner, smallOwner, endedOwner = "big", "o7", "ended"

// filledDigest returns the digest of row i.
func filledDigest(i int) store.Digest { return sha256.Sum256(fmt.Appendf(nil, "k%d", i)) }

// filler holds the SQL of fillRows for each database, and the statements that follow it.
var filler = map[sqlstore.Dialect]struct {
	digest, numbers, order string
	after                  []string
}{
	sqlstore.PostgreSQL: {
		"sha256(CONCAT('k', i)::bytea)", "generate_series(0, ROWS::bigint - 1) AS i", "",
		[]string{"VACUUM ANALYZE keyhatch_keys"},
	},
	// A join of ten digits, since a recursive query is limited to a thousand rows.
	sqlstore.MySQL: {
		"UNHEX(SHA2(CONCAT('k', i), 256))", `(WITH d AS (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2
			UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7
			UNION ALL SELECT 8 UNION ALL SELECT 9)
			SELECT a.n + 10 * b.n + 100 * c.n + 1000 * e.n + 10000 * f.n AS i
			FROM d AS a, d AS b, d AS c, d AS e, d AS f) AS all_of_them WHERE i < ROWS`, "",
		[]string{"ANALYZE TABLE keyhatch_keys"},
	},
	sqlstore.SQLite: {
		"sha256(CONCAT('k', i))", `(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS - 1)
			SELECT i FROM n)`, "ORDER BY digest",
		[]string{"ANALYZE"},
	},
}

func init() {
	sqlite.MustRegisterDeterministicScalarFunction("sha256", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		sum := sha256.Sum256([]byte(args[0].(string)))
		return sum[:], nil
	})
}
