// Package testserver starts the database servers that keyhatch's own tests
// need. It is made for them alone, and may change with them.
//
// A package's TestMain hands over to [Run], and a test asks for a server that
// all tests of the process share:
//
//	func TestMain(m *testing.M) { os.Exit(testserver.Run(m)) }
//
//	dsn := testserver.PostgreSQL(t, func(dsn string) error { … the driver's ping … })
//
// It is started when the first test asks, from the programs on the machine, on
// a free port of the loopback interface. KEYHATCH_POSTGRES_DSN,
// KEYHATCH_MYSQL_DSN and KEYHATCH_REDIS_ADDR name servers to use instead, in the
// form that the function returns. A test that kills its server or needs other
// settings starts one of its own, with [StartPostgreSQL] and the like.
//
// Where there is no server the test is skipped; with KEYHATCH_REQUIRE_SERVERS
// set it fails.
//
// No server outlives the test process, however that one ends. Its folder, below
// [os.TempDir], goes with it. Started by root, servers run as a user of less
// rights, who must be able to reach that folder.
//
// A ping connects and asks something. It is called until it succeeds, so it
// must end by itself within seconds. All functions may be called concurrently.
package testserver

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// PostgreSQL returns the address of the shared server, for its superuser, as
// postgres://postgres@127.0.0.1:15432/postgres?sslmode=disable.
func PostgreSQL(tb testing.TB, ping func(dsn string) error) string {
	tb.Helper()
	return sharedPostgreSQL.address(tb, ping)
}

// MySQL returns the address of the shared MariaDB or MySQL server, for its
// superuser, as root@tcp(127.0.0.1:13306)/.
func MySQL(tb testing.TB, ping func(dsn string) error) string {
	tb.Helper()
	return sharedMySQL.address(tb, ping)
}

// Redis returns the address of the shared Redis or Valkey server, as
// 127.0.0.1:16379.
func Redis(tb testing.TB, ping func(addr string) error) string {
	tb.Helper()
	return sharedRedis.address(tb, ping)
}

// Run runs the tests and then ends the shared servers. It returns what m does.
// Tests that use servers wait most of the time, so Run lets at least four of
// them run at once, unless -parallel says otherwise.
func Run(m interface{ Run() int }) int {
	allowParallel()
	defer func() {
		for _, s := range []*shared{sharedPostgreSQL, sharedMySQL, sharedRedis} {
			s.end()
		}
	}()
	return m.Run()
}

// minParallel is how many tests run at once on a machine of fewer processors.
const minParallel = 4

func allowParallel() {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if set || runtime.GOMAXPROCS(0) >= minParallel || flag.Lookup("test.parallel") == nil {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(minParallel)); err != nil {
		panic(err)
	}
}

// The servers that all tests of the process share.
var (
	sharedPostgreSQL = &shared{engine: postgreSQL}
	sharedMySQL      = &shared{engine: mySQL}
	sharedRedis      = &shared{engine: redis}
)

// shared is a server that starts when it is first asked for.
type shared struct {
	engine *engine
	once   sync.Once
	server *Server // nil for one that the environment names
	dsn    string
	err    error
}

func (s *shared) address(tb testing.TB, ping func(string) error) string {
	tb.Helper()
	s.once.Do(func() { s.err = s.open(ping) })
	if errors.Is(s.err, errMissing) {
		skip(tb, fmt.Sprintf("%v, or set %s", s.err, s.engine.variable))
	}
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.dsn
}

func (s *shared) open(ping func(string) error) (err error) {
	if s.dsn = os.Getenv(s.engine.variable); s.dsn != "" {
		if err := ping(s.dsn); err != nil {
			return fmt.Errorf("testserver: the server that %s names: %w", s.engine.variable, err)
		}
		return nil
	}
	if s.server, err = newServer(s.engine, ping, s.engine.careless); err != nil {
		return err
	}
	s.dsn = s.server.DSN()
	return nil
}

// end also keeps a server from being started later.
func (s *shared) end() {
	s.once.Do(func() { s.err = errors.New("testserver: the tests are over") })
	if s.server != nil {
		s.server.remove()
	}
}

// skip says in one line what is missing.
func skip(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("KEYHATCH_REQUIRE_SERVERS") != "" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}
