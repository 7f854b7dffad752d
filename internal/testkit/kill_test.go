package testkit

import (
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

func TestKilledServerKeepsItsData(t *testing.T) {
	s := StartRedis(t, "appendonly=yes", "appendfsync=always")
	if reply, err := ask(s.DSN(), "SET key value\r\n", 5); err != nil || string(reply) != "+OK\r\n" {
		t.Fatalf("got %q, %v", reply, err)
	}
	s.Kill()
	s.Start()
	if reply, err := ask(s.DSN(), "GET key\r\n", 11); err != nil || !strings.Contains(string(reply), "value") {
		t.Errorf("got %q, %v, want the value", reply, err)
	}
}

// busy keeps a session busy. It ends by itself, in case Kill does not end it.
const busy = `DO $$ BEGIN
	RAISE NOTICE 'counting';
	WHILE clock_timestamp() < now() + interval '20 s' LOOP END LOOP;
END $$`

// The children of a PostgreSQL server are in separate process groups, and a busy one does
// not check whether its parent is still running.
func TestKillEndsBusySessions(t *testing.T) {
	s := StartPostgreSQL(t)
	conn := session(t, s.DSN())
	io.WriteString(conn, "Q"+withLength(busy+"\x00"))
	readUntil(t, conn, "counting")
	s.Kill()
	conn.SetReadDeadline(time.Now().Add(patience / 3)) // less than a busy session lasts
	if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
		t.Error("a session still runs after Kill")
	}
}

// session returns a connection that is ready for a query.
func session(t *testing.T, dsn string) net.Conn {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, startup(u.User.Username()))
	readUntil(t, conn, "Z\x00\x00\x00\x05I")
	return conn
}

// readUntil reads until the server has sent the words.
func readUntil(t *testing.T, conn net.Conn, words string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	for sent := ""; !strings.Contains(sent, words); {
		piece := make([]byte, 512)
		n, err := conn.Read(piece)
		if err != nil {
			t.Fatalf("got %q, %v, want %q", sent, err, words)
		}
		sent += string(piece[:n])
	}
}

// A server may end by itself, for example because the disk is full.
func TestServerThatEndedStartsAgain(t *testing.T) {
	s := StartRedis(t)
	ask(s.DSN(), "SHUTDOWN NOSAVE\r\n", 1)
	<-s.process.exited
	s.Start()
	if err := pingRedis(s.DSN()); err != nil {
		t.Error(err)
	}
}
