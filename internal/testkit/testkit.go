// Package testkit holds the tools that the tests of several packages share: database
// servers, a TCP proxy that injects faults, and small helpers. Programs must not import it.
//
// A package's TestMain calls [Run], and a test asks for a server that all tests of the
// process share:
//
//	func TestMain(m *testing.M) { os.Exit(testkit.Run(m)) }
//
//	dsn := testkit.UsePostgreSQL(t)
//
// The server starts when the first test asks for it, from the programs on the machine, on
// a free port of the loopback interface. KEYHATCH_POSTGRES_DSN, KEYHATCH_MYSQL_DSN and
// KEYHATCH_REDIS_ADDR name servers to use instead, in the form that the function returns.
// A test that kills its server or needs other settings starts one of its own, with
// [StartPostgreSQL] and the like.
//
// If the server's program is missing, the test is skipped. With KEYHATCH_REQUIRE_SERVERS
// set, it fails.
//
// No server outlives the test process, however the process ends. The server's folder,
// below [os.TempDir], is removed with it. If the tests run as root, servers run as a user
// with fewer rights, who must be able to reach that folder. On Linux, [Run] puts temporary
// files into memory unless TMPDIR is set, the full counts are asked for, or benchmarks run.
//
// All functions may be called concurrently.
package testkit

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

// UsePostgreSQL returns the data source name of the shared server, for its superuser, as
// postgres://postgres@127.0.0.1:15432/postgres?sslmode=disable.
func UsePostgreSQL(tb testing.TB) string {
	tb.Helper()
	return sharedPostgreSQL.address(tb)
}

// UseMySQL returns the data source name of the shared MariaDB or MySQL server, for its
// superuser, as root@tcp(127.0.0.1:13306)/.
func UseMySQL(tb testing.TB) string {
	tb.Helper()
	return sharedMySQL.address(tb)
}

// UseRedis returns the address of the shared Redis or Valkey server, as 127.0.0.1:16379.
func UseRedis(tb testing.TB) string {
	tb.Helper()
	return sharedRedis.address(tb)
}

// Run runs the tests and then ends the shared servers. It returns the result of m.Run.
// Tests that use servers mostly wait, so Run lets at least six of them run at once,
// unless -parallel is set.
func Run(m interface{ Run() int }) int {
	flag.Parse()
	allowParallel()
	useMemory()
	defer func() {
		for _, s := range []*shared{sharedPostgreSQL, sharedMySQL, sharedRedis} {
			s.end()
		}
	}()
	return m.Run()
}

// minParallel is the minimum number of tests that run at once, even on a machine with
// fewer processors.
const minParallel = 6

func allowParallel() {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if set || runtime.GOMAXPROCS(0) >= minParallel || flag.Lookup("test.parallel") == nil {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(minParallel)); err != nil {
		panic(err)
	}
}

// useMemory puts temporary files into memory. Servers create and delete many small files, which
// is slow on a disk.
func useMemory() {
	bench := flag.Lookup("test.bench")
	if os.Getenv("TMPDIR") != "" || Soak() || bench == nil || bench.Value.String() != "" {
		return
	}
	if folder := memory(); folder != "" {
		if err := os.Setenv("TMPDIR", folder); err != nil {
			panic(err)
		}
	}
}

// The servers that all tests of the process share.
var (
	sharedPostgreSQL = &shared{engine: postgreSQL}
	sharedMySQL      = &shared{engine: mySQL}
	sharedRedis      = &shared{engine: redis}
)

// A shared server starts when it is first used.
type shared struct {
	engine *engine
	once   sync.Once
	server *Server // nil if the environment names the server
	dsn    string
	err    error
}

func (s *shared) address(tb testing.TB) string {
	tb.Helper()
	s.once.Do(func() { s.err = s.open() })
	if errors.Is(s.err, errNotInstalled) {
		skip(tb, fmt.Sprintf("%v, or set %s", s.err, s.engine.variable))
	}
	if s.err != nil {
		tb.Fatal(s.err)
	}
	return s.dsn
}

func (s *shared) open() (err error) {
	if s.dsn = os.Getenv(s.engine.variable); s.dsn != "" {
		return nil
	}
	if s.server, err = newServer(s.engine, s.engine.careless); err != nil {
		return err
	}
	s.dsn = s.server.DSN()
	return nil
}

// end ends the server. It also prevents a later start.
func (s *shared) end() {
	s.once.Do(func() { s.err = errors.New("testkit: the tests have ended") })
	if s.server != nil {
		s.server.remove()
	}
}

// skip skips the test, or fails it if servers are required. why names the missing server.
func skip(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("KEYHATCH_REQUIRE_SERVERS") != "" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}
