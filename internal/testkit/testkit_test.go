package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// servers has one entry for each kind of server.
var servers = []struct {
	shared func(testing.TB) string
	start  func(testing.TB, ...string) *Server
	engine *engine
}{
	{UsePostgreSQL, StartPostgreSQL, postgreSQL},
	{UseMySQL, StartMySQL, mySQL},
	{UseRedis, StartRedis, redis},
}

func TestMain(m *testing.M) { os.Exit(Run(m)) }

func TestKilledServerStartsAgain(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := c.start(t)
			t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
			address := s.DSN()
			for range 2 {
				s.Kill()
				if c.engine.ping(address) == nil {
					t.Fatal("the server replies after it was killed")
				}
				s.Start()
				if s.DSN() != address || c.engine.ping(address) != nil {
					t.Errorf("address of the restarted server: got %[2]s, want %[1]s", address, s.DSN())
				}
			}
		})
	}
}

func TestSharedServerIsStartedOnce(t *testing.T) {
	one, other := UseRedis(t), UseRedis(t)
	if one != other {
		t.Errorf("got %s and %s, want one server", one, other)
	}
}

func TestEnvironmentNamesAServer(t *testing.T) {
	running := StartRedis(t).DSN()
	t.Setenv(redis.variable, running)
	named := &shared{engine: redis}
	if got := named.address(t); got != running {
		t.Errorf("got %s, want %s, which the environment names", got, running)
	}
}

func TestSettingsReachTheServer(t *testing.T) {
	s := StartRedis(t, "maxclients=77")
	reply, err := ask(s.DSN(), "CONFIG GET maxclients\r\n", len("*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n"))
	if err != nil || !bytes.Contains(reply, []byte("77")) {
		t.Errorf("got %q, %v, want the setting in it", reply, err)
	}
}

func TestServerThatDoesNotStartIsReported(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := newServer(c.engine, []string{"nosuchsetting=1"})
			if errors.Is(err, errNotInstalled) {
				skip(t, err.Error())
			}
			if err == nil || !strings.Contains(err.Error(), "nosuchsetting") {
				t.Errorf("got %v, want an error with the server's log", err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("the error was reported after %v, long after the server had ended", took)
			}
		})
	}
}

// If a program is missing, a test is skipped with a message that says what to do. It
// fails if servers are required.
func TestMissingServer(t *testing.T) {
	absent := &engine{name: "Absent", variable: "KEYHATCH_ABSENT", packages: "absent-server", programs: []string{"no-such-program"}}
	for required, want := range map[string]string{"": "skip", "1": "fatal"} {
		t.Setenv("KEYHATCH_REQUIRE_SERVERS", required)
		tb := &recorder{TB: t, end: "nothing"}
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&shared{engine: absent}).address(tb)
		}()
		<-done
		line := "testkit: Absent: not installed; install absent-server, or set KEYHATCH_ABSENT"
		if tb.end != want || tb.text != line {
			t.Errorf("KEYHATCH_REQUIRE_SERVERS=%q: got %s %q, want %s %q", required, tb.end, tb.text, want, line)
		}
	}
}

// A recorder records how a test ends.
type recorder struct {
	testing.TB
	end, text string
}

func (r *recorder) Skip(args ...any)  { r.ends("skip", args) }
func (r *recorder) Fatal(args ...any) { r.ends("fatal", args) }

func (r *recorder) ends(how string, args []any) {
	r.end, r.text = how, fmt.Sprint(args...)
	runtime.Goexit()
}
