package rediscache_test

import (
	"net"
	"strings"
	"testing"
)

// serve starts a fake server. It calls reply for each piece that it reads, which is a
// whole command, since go-redis and a Cache write one command at a time.
func serve(t *testing.T, reply func(conn net.Conn, command string)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go replyAll(conn, reply)
		}
	}()
	return l.Addr().String()
}

func replyAll(conn net.Conn, reply func(conn net.Conn, command string)) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		reply(conn, strings.ToLower(string(buf[:n])))
	}
}
