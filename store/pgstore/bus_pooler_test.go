package pgstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/cachetest"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

func TestBusThroughPoolerInSessionMode(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	through := startBouncer(t, dsn, "session", 100)
	cachetest.RunBus(t, func(t *testing.T) cache.Bus {
		return openBus(t, open(t, through, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	})
}

// Messages are published through the pooler, and the listener bypasses it.
func TestBusPastPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	through := startBouncer(t, dsn, "transaction", 3)
	cachetest.RunBus(t, func(t *testing.T) cache.Bus {
		return openBus(t, open(t, through, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), &pgstore.BusOptions{DSN: dsn})
	})
}

// Such a pooler accepts LISTEN but does not deliver. If it has a single session,
// the probe runs in the session where LISTEN ran.
func TestBusThroughPoolerInTransactionModeIsRefused(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint("pool of ", size), func(t *testing.T) {
			t.Parallel()
			through := startBouncer(t, dsn, "transaction", size)
			s := open(t, through, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
			for name, o := range map[string]*pgstore.BusOptions{"the Store's": nil, "BusOptions.DSN": {DSN: through}} {
				_, err := s.Bus(t.Context(), o)
				if err == nil || !strings.Contains(err.Error(), "set BusOptions.DSN to a data source name that leads to the Store's database, directly or through a pooler in session mode") {
					t.Errorf("%s: got %v, want an error that says what to do", name, err)
				}
			}
			direct := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
			if _, err := direct.Bus(t.Context(), &pgstore.BusOptions{DSN: through}); err == nil {
				t.Error("Bus accepted a BusOptions.DSN that leads through a pooler in transaction mode")
			}
		})
	}
}

// A pooler that does not reset sessions leaves an earlier LISTEN active in its only
// session.
func TestOtherChannelsAreIgnored(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	through := startBouncer(t, dsn, "session\nserver_reset_query =", 1)
	channel := testkit.NewName()
	testkit.Execute(t, through, "LISTEN "+channel)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, &pgstore.BusOptions{DSN: through})
	r := testkit.Receive(t, b)
	publish(t, openBus(t, s, &pgstore.BusOptions{Channel: channel}), "other")
	publish(t, b, "message")
	r.Wants("message")
}
