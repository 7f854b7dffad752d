package pgstore_test

import (
	"bytes"
	"context"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// This test does not run in parallel, so that all goroutines are its own. It turns
// the garbage collector off, which could close unused connections.
func TestNoLeaks(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	dsn := testkit.UsePostgreSQL(t)
	o := &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}
	for name, use := range map[string]func(t *testing.T, dsn string){
		"after Close": func(t *testing.T, dsn string) {
			s := open(t, dsn, o)
			insert(t, s, record("o", "k1"))
			connect(t, s, 3)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		},
		"after Receive": func(t *testing.T, dsn string) {
			wall := testkit.StartProxy(t, testkit.AddressOf(dsn))
			s := open(t, dsn, o)
			b := openBus(t, s, &pgstore.BusOptions{DSN: testkit.SetAddress(dsn, wall.Address())})
			blackholed := testkit.Receive(t, b)
			wall.Blackhole()
			blackholed.AwaitEnd("")
			wall.Sever() // the server's side is still open
			testkit.Receive(t, b).End()
			s.Close()
		},
		"after a panic in deliver": func(t *testing.T, dsn string) {
			s := open(t, dsn, o)
			b := openBus(t, s, nil)
			defer func() {
				if got := recover(); got != "mine" {
					t.Errorf("panic in deliver: got %v, want Receive to panic too", got)
				}
				s.Close()
			}()
			b.Receive(t.Context(), func(func(context.Context, string) error) { publish(t, b, "message") }, func(string) { panic("mine") })
		},
		"after the probe was not delivered": func(t *testing.T, dsn string) {
			s := open(t, dsn, o)
			if _, err := s.Bus(t.Context(), &pgstore.BusOptions{DSN: elsewhere(t, dsn)}); err == nil {
				t.Error("Bus: got no error, want one")
			}
			s.Close()
		},
		"after Open has refused the server": func(t *testing.T, dsn string) {
			if _, err := pgstore.Open(t.Context(), addParam(dsn, "synchronous_commit=off"), o); err == nil {
				t.Error("Open: got no error, want one")
			}
		},
		"after Open has refused the table's name": func(t *testing.T, dsn string) {
			if _, err := pgstore.Open(t.Context(), addParam(dsn, "pool_min_conns=2"), &pgstore.Options{Table: "; DROP"}); err == nil {
				t.Error("Open: got no error, want one")
			}
		},
		"after Open could not migrate": func(t *testing.T, dsn string) {
			if _, err := pgstore.Open(t.Context(), dsn, &pgstore.Options{Schema: "not_there"}); err == nil {
				t.Error("Open: got no error, want one")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			application := testkit.NewName()
			use(t, addParam(dsn, "application_name="+application))
			statement := "SELECT count(*)::text FROM pg_stat_activity WHERE starts_with(application_name, '" + application + "')"
			testkit.Await(t, "the connections are closed", func() bool { return query(t, dsn, statement) == "0" })
			testkit.Await(t, "the goroutines have ended", func() bool {
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				for _, function := range []string{"connectionOpener", "backgroundHealthCheck", "asyncClose", "(*Bus).Receive"} {
					if bytes.Contains(stacks, []byte(function)) {
						return false
					}
				}
				return true
			})
		})
	}
}

// Close waits for the calls in progress.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema})
	insert(t, s, record("o", "k1"))
	lock := lockOwner(t, dsn, schema, "o")
	revoked := make(chan error)
	go func() {
		_, _, err := s.Revoke(t.Context(), "o", "k1", epoch, "leaked")
		revoked <- err
	}()
	lock.waitFor(t, 1)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	testkit.Await(t, "the connections of a closed Store are closed", func() bool { return s.Pool().Ping(t.Context()) != nil })
	lock.release(t)
	if err := <-revoked; err != nil {
		t.Errorf("a call that started before Close failed: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}
