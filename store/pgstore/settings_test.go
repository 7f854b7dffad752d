package pgstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// settings holds the parameters of a Store's connections.
type settings struct {
	maxConns                                     int32
	connect, ping, lifetime, jitter, idle, check time.Duration
	application, idleInTx                        string
	mode                                         pgx.QueryExecMode
}

func settingsOf(c *pgxpool.Config) settings {
	return settings{
		c.MaxConns, c.ConnConfig.ConnectTimeout, c.PingTimeout, c.MaxConnLifetime, c.MaxConnLifetimeJitter,
		c.MaxConnIdleTime, c.HealthCheckPeriod, c.ConnConfig.RuntimeParams["application_name"],
		c.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"], c.ConnConfig.DefaultQueryExecMode,
	}
}

var defaults = settings{
	10, 5 * time.Second, 500 * time.Millisecond, 30 * time.Minute, 5 * time.Minute,
	3 * time.Minute, 30 * time.Second, "keyhatch", "10s", pgx.QueryExecModeCacheStatement,
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	for _, c := range []struct {
		name, parameters string
		o                pgstore.Options
		want             func(*settings)
	}{
		{"defaults", "", pgstore.Options{}, func(*settings) {}},
		{"MaxConns", "", pgstore.Options{MaxConns: 3}, func(s *settings) { s.maxConns = 3 }},
		{"pool_max_conns wins", "pool_max_conns=5", pgstore.Options{MaxConns: 3}, func(s *settings) { s.maxConns = 5 }},
		{"pool_max_conns like pgx's own", "pool_max_conns=4", pgstore.Options{}, func(s *settings) { s.maxConns = 4 }},
		{"timeouts", "connect_timeout=7&pool_ping_timeout=8s", pgstore.Options{}, func(s *settings) { s.connect, s.ping = 7*time.Second, 8*time.Second }},
		{"no ping timeout", "pool_ping_timeout=0s", pgstore.Options{}, func(s *settings) { s.ping = 0 }},
		{"lifetimes", "pool_max_conn_lifetime=1h&pool_max_conn_lifetime_jitter=0s&pool_max_conn_idle_time=30m&pool_health_check_period=1m", pgstore.Options{},
			func(s *settings) { s.lifetime, s.jitter, s.idle, s.check = time.Hour, 0, 30*time.Minute, time.Minute }},
		{"application_name", "application_name=billing", pgstore.Options{}, func(s *settings) { s.application = "billing" }},
		{"idle_in_transaction_session_timeout", "idle_in_transaction_session_timeout=3s", pgstore.Options{},
			func(s *settings) { s.idleInTx = "3s" }},
		{"default_query_exec_mode", "default_query_exec_mode=exec", pgstore.Options{}, func(s *settings) { s.mode = pgx.QueryExecModeExec }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.Schema = schema
			s := open(t, addParam(dsn, c.parameters), &c.o)
			want := defaults
			c.want(&want)
			if got := settingsOf(s.Pool().Config()); got != want {
				t.Errorf("got settings\n%+v, want\n%+v", got, want)
			}
			var application string
			if err := s.Pool().QueryRow(t.Context(), "SHOW application_name").Scan(&application); err != nil || application != want.application {
				t.Errorf("got application name %q, %v, want %q", application, err, want.application)
			}
			var idleInTx string
			if err := s.Pool().QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&idleInTx); err != nil || idleInTx != want.idleInTx {
				t.Errorf("got timeout of idle transactions %q, %v, want %q", idleInTx, err, want.idleInTx)
			}
		})
	}
}

func TestEnvironmentNamesTheApplication(t *testing.T) {
	t.Setenv("PGAPPNAME", "billing")
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	if got := settingsOf(s.Pool().Config()).application; got != "billing" {
		t.Errorf("got application name %q, want that of PGAPPNAME", got)
	}
}

func TestInvalidMaxConnsIsRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1 << 31} {
		if _, err := pgstore.Open(t.Context(), "", &pgstore.Options{MaxConns: n}); err == nil || !strings.Contains(err.Error(), "Options.MaxConns") {
			t.Errorf("Open with MaxConns %d: got %v, want an error with the option's name", n, err)
		}
	}
}

func TestNoMoreThanMaxConns(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	for range defaults.maxConns {
		conn, err := s.Pool().Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Lookup(ctx, record("o", "k1").Digest)
	wantOutage(t, err, context.DeadlineExceeded, "a call without a free connection")
	if err == nil || !strings.Contains(err.Error(), "all 10 connections were in use") {
		t.Errorf("got %v, want an error that says all connections were in use", err)
	}
	if errors.Is(err, store.ErrBusy) {
		t.Errorf("got %v although no call got a connection meanwhile, want an outage", err)
	}
}

// A call that gets no connection while other calls get one returns ErrBusy.
func TestBusyPoolIsNotOutage(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	for range 4 * defaults.maxConns {
		others.Go(func() {
			for ctx.Err() == nil {
				if conn, err := s.Pool().Acquire(ctx); err == nil {
					time.Sleep(20 * time.Millisecond)
					conn.Release()
				}
			}
		})
	}
	for {
		hurry, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err := s.Lookup(hurry, record("o", "k1").Digest)
		cancel()
		if errors.Is(err, store.ErrBusy) && errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("a call while the pool is busy: got %v, want ErrBusy and the context's error", err)
		}
	}
}

// Open fails if a server accepts the connection but sends nothing.
func TestOpenGivesUpOnASilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = pgstore.Open(t.Context(), "postgres://u@"+l.Addr().String()+"/db?sslmode=disable&connect_timeout=1", nil)
	wantOutage(t, err, context.DeadlineExceeded, "Open of a silent server")
}
