package pgstore_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// findListener returns the process id of a listener's session.
func findListener(t *testing.T, dsn, application string) string {
	t.Helper()
	return query(t, dsn, "SELECT pid::text FROM pg_stat_activity WHERE application_name = '"+application+" bus'")
}

func TestTerminatedListener(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	application := testkit.NewName()
	b := openBus(t, open(t, addParam(dsn, "application_name="+application), &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	awaitNoListener(t, dsn, application) // the probe has ended
	r := testkit.Receive(t, b)
	publish(t, b, "before")
	r.Wants("before")
	testkit.Execute(t, dsn, "SELECT pg_terminate_backend("+findListener(t, dsn, application)+")")
	r.AwaitEnd("")
	if code(r.Err) != "57P01" {
		t.Errorf("got %v, want an error with SQLSTATE 57P01", r.Err)
	}
	publish(t, b, "between")
	again := testkit.Receive(t, b)
	publish(t, b, "after")
	again.Wants("after")
}

func TestServerKilledWhileListening(t *testing.T) {
	t.Parallel()
	server := testkit.StartPostgreSQL(t)
	dsn := logInAs(server.DSN(), user(server.DSN())+":"+canary, "postgres", "")
	s := open(t, dsn, nil)
	b := openBus(t, s, nil)
	r := testkit.Receive(t, b)
	server.Kill()
	r.AwaitEnd("")
	if err := r.Err.Error(); strings.Contains(err, "no reply to a ping") {
		t.Errorf("got %v, want the error of a closed connection, which needs no ping", err)
	}
	testkit.WantNoCanary(t, r.Err)
	for what, err := range map[string]error{
		"Receive": b.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready is called without a server") }, func(string) {}),
		"Publish": b.Publish(t.Context(), "message"),
	} {
		wantOutage(t, err, nil, what+" without a server")
		testkit.WantNoCanary(t, err)
	}
	_, err := s.Bus(t.Context(), nil)
	wantOutage(t, err, nil, "Bus without a server")
	testkit.WantNoCanary(t, err)

	server.Start()
	again := testkit.Receive(t, b)
	for i := 0; b.Publish(t.Context(), "message") != nil; i++ {
		if i > 10 { // one for each connection that ended
			t.Fatal("Publish still fails after the server has restarted")
		}
	}
	again.Wants("message")
}

// The network drops everything that is sent in either direction.
func TestListenerInABlackHole(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	wall := testkit.StartProxy(t, testkit.AddressOf(dsn))
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, &pgstore.BusOptions{DSN: addParam(testkit.SetAddress(dsn, wall.Address()), "connect_timeout=2")})
	r := testkit.Receive(t, b)
	t.Cleanup(wall.Sever)
	publish(t, b, "before")
	r.Wants("before")
	wall.Inject(testkit.BlackHole)
	r.AwaitEnd("no reply to a ping")
	began := time.Now()
	err := b.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready is called without a server") }, func(string) {})
	if wantOutage(t, err, context.DeadlineExceeded, "Receive in a black hole"); time.Since(began) > patience {
		t.Errorf("Receive waited %v for a connection, want at most connect_timeout", time.Since(began))
	}
	wall.Blackhole() // the held data is lost
	wall.Heal()
	again := testkit.Receive(t, b)
	publish(t, b, "after")
	again.Wants("after")
}

func TestListenWithoutReply(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	wall := testkit.StartProxy(t, testkit.AddressOf(dsn))
	b := openBus(t, open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), &pgstore.BusOptions{DSN: testkit.SetAddress(dsn, wall.Address())})
	t.Cleanup(wall.Sever)
	wall.Intercept(func(x testkit.Piece) bool {
		if x.ToServer && bytes.Contains(x.Bytes, []byte("LISTEN")) {
			wall.Blackhole()
		}
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := b.Receive(ctx, func(func(context.Context, string) error) { t.Error("ready was called before LISTEN succeeded") }, func(string) {})
	if wantOutage(t, err, context.DeadlineExceeded, "LISTEN without a reply"); ctx.Err() != nil {
		t.Error("Receive waited for the reply to LISTEN until its context ended")
	}
}

// A stopped process keeps its connection open.
func TestStoppedServer(t *testing.T) {
	t.Parallel()
	server := testkit.StartPostgreSQL(t)
	application := testkit.NewName()
	s := open(t, addParam(server.DSN(), "application_name="+application), nil)
	b := openBus(t, s, nil)
	awaitNoListener(t, server.DSN(), application) // the probe has ended
	r := testkit.Receive(t, b)
	listener := findListener(t, server.DSN(), application)
	t.Cleanup(func() { exec.Command("kill", "-s", "CONT", listener).Run() }) // in case the test ends early
	signal(t, "STOP", listener)
	r.AwaitEnd("")
	again := testkit.Receive(t, b)
	publish(t, b, "after")
	again.Wants("after")

	// The server keeps unsent messages for the session, until it detects that the
	// listener is gone.
	for range 200 {
		publish(t, b, strings.Repeat("x", 4000))
	}
	const statement = "SELECT (pg_notification_queue_usage() > 0)::text"
	if query(t, server.DSN(), statement) != "true" {
		t.Error("the queue is empty, so this test tests nothing")
	}
	signal(t, "CONT", listener)
	testkit.Await(t, "the messages for a closed listener are gone", func() bool {
		publish(t, b, "more") // the server shortens the queue only when it writes to it
		return query(t, server.DSN(), statement) == "false"
	})
}

func signal(t *testing.T, name, pid string) {
	t.Helper()
	if out, err := exec.Command("kill", "-s", name, pid).CombinedOutput(); err != nil {
		t.Errorf("kill -s %s %s: %v\n%s", name, pid, err, out)
	}
}

// A standby does not support NOTIFY, and does not receive its primary's messages.
func TestListenerOfAStandbyIsRefused(t *testing.T) {
	t.Parallel()
	standby := testkit.StartPostgreSQL(t)
	marker := filepath.Join(query(t, standby.DSN(), "SHOW data_directory"), "standby.signal")
	standby.Kill()
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	standby.Start()
	primary := testkit.UsePostgreSQL(t)
	s := open(t, primary, &pgstore.Options{Schema: testkit.CreateSchema(t, primary)})
	_, err := s.Bus(t.Context(), &pgstore.BusOptions{DSN: standby.DSN()})
	if err == nil || !strings.Contains(err.Error(), "the server is a standby") {
		t.Errorf("Bus on a standby: got %v, want an error that says so", err)
	}
	b := openBus(t, s, &pgstore.BusOptions{DSN: both(t, standby.DSN(), primary)})
	r := testkit.Receive(t, b)
	publish(t, b, "message")
	r.Wants("message")
}
