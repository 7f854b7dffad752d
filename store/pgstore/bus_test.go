package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/cachetest"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

func openBus(t testing.TB, s *pgstore.Store, o *pgstore.BusOptions) *pgstore.Bus {
	t.Helper()
	b, err := s.Bus(t.Context(), o)
	if err != nil {
		t.Fatalf("Bus: %v", err)
	}
	return b
}

func publish(t testing.TB, b cache.Bus, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatalf("Publish: %v", err)
		}
	}
}

func numbered(from, n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprint("message ", from+i))
	}
	return messages
}

func TestBus(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	cachetest.RunBus(t, func(t *testing.T) cache.Bus {
		return openBus(t, open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	})
}

func TestBusOfEveryExecMode(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	o := &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}
	r := testkit.Receive(t, openBus(t, open(t, dsn, o), nil))
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		b := openBus(t, open(t, addParam(dsn, "default_query_exec_mode="+mode), o), nil)
		publish(t, b, mode, `it's \ "`+mode+`"`, "")
		r.Wants(mode, `it's \ "`+mode+`"`, "")
	}
}

func TestInvalidMessagesAreRefused(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	b := openBus(t, open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	r := testkit.Receive(t, b)
	for name, c := range map[string]struct{ message, want string }{
		"one too long":          {strings.Repeat("x", cache.MaxMessage+1), "has 4097 bytes, want at most 4096"},
		"longer than NOTIFY's":  {strings.Repeat("x", 8001), "has 8001 bytes"},
		"a line":                {"one\n", "not printable ASCII"},
		"a zero":                {"\x00", "not printable ASCII"},
		"a delete":              {"\x7f", "not printable ASCII"},
		"a letter of two bytes": {"ä", "not printable ASCII"},
	} {
		if err := b.Publish(t.Context(), c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	publish(t, b, "last")
	r.Wants("last")
}

// Only Stores on the same table share a channel.
func TestStoresOnOtherTablesReceiveNothing(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema, other := testkit.CreateSchema(t, dsn), testkit.CreateSchema(t, dsn)
	named := openBus(t, open(t, dsn, &pgstore.Options{Schema: schema}), nil)
	found := openBus(t, open(t, addParam(dsn, "search_path="+schema), nil), nil)
	strangers := map[string]*testkit.Receiver{
		"another table":       testkit.Receive(t, openBus(t, open(t, dsn, &pgstore.Options{Schema: schema, Table: "staging_keys"}), nil)),
		"another schema":      testkit.Receive(t, openBus(t, open(t, dsn, &pgstore.Options{Schema: other}), nil)),
		"another search path": testkit.Receive(t, openBus(t, open(t, addParam(dsn, "search_path="+other), nil), nil)),
		"another channel":     testkit.Receive(t, openBus(t, open(t, dsn, &pgstore.Options{Schema: schema}), &pgstore.BusOptions{Channel: "other"})),
	}
	one, two := testkit.Receive(t, named), testkit.Receive(t, found)
	publish(t, named, "named")
	publish(t, found, "found")
	one.Wants("named", "found")
	two.Wants("named", "found")
	for name, r := range strangers {
		select {
		case m := <-r.Messages:
			t.Errorf("a Store on %s: got the message %q, want none", name, m)
		default:
		}
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema := testkit.CreateSchema(t, dsn)
	s := open(t, dsn, &pgstore.Options{Schema: schema})
	if got, want := openBus(t, s, nil).Channel(), "keyhatch:"+schema+".keyhatch_keys"; got != want {
		t.Errorf("default channel: got %q, want %q", got, want)
	}
	for _, name := range []string{`An "odd" one; -- 'x'`, strings.Repeat("x", 63)} {
		b := openBus(t, s, &pgstore.BusOptions{Channel: name})
		r := testkit.Receive(t, b)
		publish(t, b, "message")
		r.Wants("message")
	}
	for _, name := range []string{strings.Repeat("x", 64), "ä", "a\nb"} {
		if _, err := s.Bus(t.Context(), &pgstore.BusOptions{Channel: name}); err == nil || !strings.Contains(err.Error(), "BusOptions.Channel") {
			t.Errorf("Bus with channel %q: got %v, want an error with the option's name", name, err)
		}
	}
}

// A schema in the search path may have any name.
func TestChannelOfAnySchema(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	name := strings.Repeat("ä", 15) + ` "` + testkit.NewName()
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	testkit.Execute(t, dsn, "CREATE SCHEMA "+quoted)
	t.Cleanup(func() { testkit.Execute(t, dsn, "DROP SCHEMA "+quoted+" CASCADE") })
	role := newRole(t, dsn, "SUPERUSER")
	testkit.Execute(t, dsn, "ALTER ROLE "+role+" SET search_path = "+quoted)
	b := openBus(t, open(t, logInAs(dsn, role, "postgres", ""), &pgstore.Options{Table: testkit.NewName()}), nil)
	r := testkit.Receive(t, b)
	publish(t, b, "message")
	r.Wants("message")
}

// if the search path changes while the Store is open, the Store keeps its
// table and its bus keeps its channel.
func TestChannelOfASearchPathThatChanges(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	schema, other := testkit.CreateSchema(t, dsn), testkit.CreateSchema(t, dsn)
	for _, each := range []string{schema, other} { // both have a table of the name
		open(t, dsn, &pgstore.Options{Schema: each})
	}
	role := newRole(t, dsn, "SUPERUSER")
	testkit.Execute(t, dsn, "ALTER ROLE "+role+" SET search_path = "+schema)
	s := open(t, logInAs(dsn, role, "postgres", ""), nil)
	testkit.Execute(t, dsn, "ALTER ROLE "+role+" SET search_path = "+other)
	testkit.Execute(t, dsn, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '"+role+"'")
	if got, want := openBus(t, s, nil).Channel(), "keyhatch:"+schema+".keyhatch_keys"; got != want {
		t.Errorf("the channel after the search path has changed: got %q, want %q", got, want)
	}
}

// A listener needs no right except to connect.
func TestListenerWithoutRights(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, &pgstore.BusOptions{DSN: logInAs(dsn, newRole(t, dsn, ""), "postgres", "")})
	r := testkit.Receive(t, b)
	publish(t, b, "message")
	r.Wants("message")
}

// The probe of a starting instance must not reach running instances, which would
// treat it as a lost message.
func TestReceiversIgnoreProbe(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, nil)
	r := testkit.Receive(t, b)
	for range 3 {
		openBus(t, s, nil)
	}
	publish(t, b, "message")
	r.Wants("message")
}

// Messages that arrive during a ping are delivered. In this test, three messages
// arrive before each reply.
func TestMessagesDuringPings(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	wall := testkit.StartProxy(t, testkit.AddressOf(dsn))
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, &pgstore.BusOptions{DSN: testkit.SetAddress(dsn, wall.Address())})
	pings, sent := 0, make(chan bool, 100)
	wall.Intercept(func(x testkit.Piece) bool {
		if !x.ToServer {
			for range bytes.Count(x.Bytes, []byte("message ")) {
				sent <- true
			}
		} else if bytes.Contains(x.Bytes, []byte("-- ping")) {
			for _, m := range numbered(3*pings, 3) {
				if err := b.Publish(t.Context(), m); err != nil {
					t.Errorf("Publish: %v", err)
				}
				<-sent // the messages were sent to the receiver, before the ping reaches the server
			}
			pings++
		}
		return true
	})
	testkit.Receive(t, b).Wants(numbered(0, 12)...)
}

// A message that arrives when a wait ends must not be lost. In this test, messages
// are sent when the waits of twenty receivers end.
func TestMessagesWhenWaitsEnd(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	b := openBus(t, open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	var receivers []*testkit.Receiver
	for range 20 {
		receivers = append(receivers, testkit.Receive(t, b))
	}
	const rounds, each = 4, 10
	publish(t, b, "begin")
	for round := range rounds {
		time.Sleep(time.Second - 4*time.Millisecond)
		for _, m := range numbered(each*round, each) {
			publish(t, b, m)
			time.Sleep(time.Millisecond)
		}
	}
	for _, r := range receivers {
		r.Wants("begin")
		r.Wants(numbered(0, rounds*each)...)
	}
}

func TestReceiveHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	application := testkit.NewName()
	s := open(t, addParam(dsn, "application_name="+application), &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, nil)
	awaitNoListener(t, dsn, application)
	r := testkit.Receive(t, b)
	if got := countListeners(t, dsn, application); got != "1" {
		t.Errorf("got %s connections with the name of the bus, want 1", got)
	}
	r.End()
	awaitNoListener(t, dsn, application)
}

// countListeners counts the connections with the name of an application's bus.
func countListeners(t *testing.T, dsn, application string) string {
	t.Helper()
	return query(t, dsn, "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = '"+application+" bus'")
}

func awaitNoListener(t *testing.T, dsn, application string) {
	t.Helper()
	testkit.Await(t, "no session listens", func() bool { return countListeners(t, dsn, application) == "0" })
}

func TestReceiveAndPublishHeedTheirContext(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn), MaxConns: 1})
	b := openBus(t, s, nil)
	held, err := s.Notices().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, "message"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish without a free connection: got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := b.Receive(ctx, func(func(context.Context, string) error) {}, func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive after its context ended: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := s.Bus(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Bus after its context ended: got %v, want %v", err, context.DeadlineExceeded)
	}
}

// A busy Store must not look like a lost bus.
func TestPublishWhenAllConnectionsAreInUse(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn), MaxConns: 1})
	b := openBus(t, s, nil)
	held, err := s.Pool().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Publish(ctx, "message"); err != nil {
		t.Errorf("Publish while the Store's connections are in use: %v", err)
	}
}

func TestPublishFromManyGoroutines(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	b := openBus(t, open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)}), nil)
	r := testkit.Receive(t, b)
	var wg sync.WaitGroup
	const each = 100
	for range 20 {
		wg.Go(func() {
			for range each {
				if err := b.Publish(t.Context(), "message"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for range 20 * each {
		r.Wants("message")
	}
}

// An instance that cannot publish must not receive its echo.
func TestEchoWithoutPublish(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	r := testkit.Receive(t, openBus(t, s, nil))
	if err := r.Echo(t.Context(), "echo"); err != nil {
		t.Fatal(err)
	}
	r.Wants("echo")
	s.Notices().Close()
	if err := r.Echo(t.Context(), "echo"); err == nil {
		t.Error("the echo was delivered although Publish fails")
	}
}

func TestPublishAfterClose(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	b := openBus(t, s, nil)
	s.Close()
	if err := b.Publish(t.Context(), "message"); err == nil {
		t.Error("Publish succeeded after the Store was closed")
	}
	if _, err := s.Bus(t.Context(), nil); err == nil {
		t.Error("Bus succeeded after the Store was closed")
	}
}

// H-10: the bus's errors do not contain the password.
func TestErrorsOfTheBusShowNoPassword(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	for name, c := range map[string]struct{ dsn, want string }{
		"unreadable":  {"postgres://u:" + canary + "@h:port/db", "BusOptions.DSN: invalid data source name: invalid port"},
		"unreachable": {"postgres://u:" + canary + "@nowhere.invalid/db?sslmode=require", "nowhere.invalid"},
		"no database": {logInAs(dsn, user(dsn)+":"+canary, "nothing_here", ""), "3D000"},
		"no user":     {logInAs(dsn, "nobody_here:"+canary, "postgres", ""), "28000"},
		"elsewhere":   {logInAs(elsewhere(t, dsn), user(dsn)+":"+canary, "template1", ""), "leads to the Store's database"},
	} {
		_, err := s.Bus(t.Context(), &pgstore.BusOptions{DSN: c.dsn})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "pgstore: ") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		testkit.WantNoCanary(t, err)
	}
}

// elsewhere returns the data source name of another database on the same server,
// whose sessions do not receive the messages.
func elsewhere(t *testing.T, dsn string) string {
	t.Helper()
	return logInAs(dsn, user(dsn), "template1", "sslmode=disable")
}

func code(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
