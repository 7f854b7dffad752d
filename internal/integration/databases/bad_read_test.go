package databases_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
)

// a read whose connection breaks returns an outage error. It never returns only some of the
// rows.
func TestReadThatBreaksOff(t *testing.T) {
	t.Parallel()
	for _, server := range proxied {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			dsn := server.dsn(t)
			direct := sqlStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn))
			for i := range 12 {
				r := record("o", fmt.Sprint("k", i))
				r.Metadata = map[string]string{"long": strings.Repeat("x", 20<<10)} // all of them are more than the driver reads at once
				insert(t, direct, r)
			}
			p, dsn := startProxy(t, dsn)
			through := newStore(t, server.dialect, testkit.OpenDB(t, server.driver, dsn), nil)
			if page, err := through.List(t.Context(), store.Query{Owner: "o"}); err != nil || len(page.Records) != 12 {
				t.Fatalf("before: got %d records, %v", len(page.Records), err)
			}
			var left atomic.Int64 // how many more bytes from the server are forwarded
			left.Store(100 << 10)
			p.Intercept(func(x testkit.Piece) bool {
				return x.ToServer || left.Load() <= 0 || left.Add(-int64(len(x.Bytes))) > 0
			})
			page, err := through.List(t.Context(), store.Query{Owner: "o"})
			if err == nil {
				t.Errorf("got %d of 12 records and no error", len(page.Records))
			}
			if left.Load() > 0 {
				t.Error("no connection was cut")
			}
			if page, err := through.List(t.Context(), store.Query{Owner: "o"}); err != nil || len(page.Records) != 12 {
				t.Errorf("afterwards: got %d records, %v", len(page.Records), err)
			}
		})
	}
}
