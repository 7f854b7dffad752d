package testserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// servers are all kinds, with a ping each that knows the first bytes of the
// protocol.
var servers = []struct {
	shared func(testing.TB, func(string) error) string
	start  func(testing.TB, func(string) error, ...string) *Server
	engine *engine
	ping   func(address string) error
}{
	{PostgreSQL, StartPostgreSQL, postgreSQL, pingPostgreSQL},
	{MySQL, StartMySQL, mySQL, pingMySQL},
	{Redis, StartRedis, redis, pingRedis},
}

func TestMain(m *testing.M) { os.Exit(Run(m)) }

// dial sends a question and reads the beginning of an answer.
func dial(address, question string, n int) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, question); err != nil {
		return nil, err
	}
	answer := make([]byte, n)
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

// pingPostgreSQL begins a session: "R" asks for a password or says that none
// is needed, "E" says that the server is starting.
func pingPostgreSQL(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	answer, err := dial(u.Host, startup(u.User.Username()), 1)
	if err == nil && answer[0] != 'R' {
		err = fmt.Errorf("got %q, want R", answer)
	}
	return err
}

// startup is the first message of a PostgreSQL session.
func startup(user string) string {
	return sized("\x00\x03\x00\x00user\x00" + user + "\x00database\x00postgres\x00\x00")
}

// sized is a message after its length, which counts itself.
func sized(message string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(message)+4))) + message
}

// pingMySQL waits for the greeting, whose fifth byte is the protocol's version.
func pingMySQL(dsn string) error {
	address := regexp.MustCompile(`\((.*)\)`).FindStringSubmatch(dsn)
	if address == nil {
		return fmt.Errorf("no address in %q", dsn)
	}
	answer, err := dial(address[1], "", 5)
	if err == nil && answer[4] != 10 {
		err = fmt.Errorf("got %q, want version 10", answer)
	}
	return err
}

func pingRedis(address string) error {
	answer, err := dial(address, "PING\r\n", 7)
	if err == nil && string(answer) != "+PONG\r\n" {
		err = fmt.Errorf("got %q", answer)
	}
	return err
}

func TestServerSurvivesItsOwnDeath(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s := c.start(t, c.ping)
			t.Logf("started in %v", time.Since(began).Round(time.Millisecond))
			address := s.DSN()
			for range 2 {
				s.Kill()
				if c.ping(address) == nil {
					t.Fatal("the server answers after it was killed")
				}
				s.Start()
				if s.DSN() != address || c.ping(address) != nil {
					t.Errorf("the server is not back at %s but at %s", address, s.DSN())
				}
			}
		})
	}
}

func TestSharedServerIsStartedOnce(t *testing.T) {
	one, other := Redis(t, pingRedis), Redis(t, pingRedis)
	if one != other {
		t.Errorf("got %s and %s, want one server", one, other)
	}
}

func TestEnvironmentNamesAServer(t *testing.T) {
	running := StartRedis(t, pingRedis).DSN()
	t.Setenv(redis.variable, running)
	named := &shared{engine: redis}
	if got := named.address(t, pingRedis); got != running {
		t.Errorf("got %s, want %s, which the environment names", got, running)
	}
}

func TestSettingsReachTheServer(t *testing.T) {
	s := StartRedis(t, pingRedis, "maxclients=77")
	answer, err := dial(s.DSN(), "CONFIG GET maxclients\r\n", len("*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n"))
	if err != nil || !bytes.Contains(answer, []byte("77")) {
		t.Errorf("got %q, %v, want the setting in it", answer, err)
	}
}

func TestServerThatDoesNotStartIsReported(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := newServer(c.engine, c.ping, []string{"nosuchsetting=1"})
			if errors.Is(err, errMissing) {
				skip(t, err.Error())
			}
			if err == nil || !strings.Contains(err.Error(), "nosuchsetting") {
				t.Errorf("got %v, want what the server says of it", err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("that took %v: the server had ended long before", took)
			}
		})
	}
}

// Without the programs a test is skipped, with a line that says what to do, and
// fails where servers are required.
func TestMissingServer(t *testing.T) {
	absent := &engine{name: "Absent", variable: "KEYHATCH_ABSENT", packages: "absent-server", programs: []string{"no-such-program"}}
	for required, want := range map[string]string{"": "skip", "1": "fatal"} {
		t.Setenv("KEYHATCH_REQUIRE_SERVERS", required)
		tb := &recorder{TB: t, end: "nothing"}
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&shared{engine: absent}).address(tb, nil)
		}()
		<-done
		line := "testserver: no Absent here: install absent-server, or set KEYHATCH_ABSENT"
		if tb.end != want || tb.text != line {
			t.Errorf("KEYHATCH_REQUIRE_SERVERS=%q: got %s %q, want %s %q", required, tb.end, tb.text, want, line)
		}
	}
}

// A recorder notes how a test ends.
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
