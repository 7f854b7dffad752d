package rediscache_test

import (
	"net"
	"strings"
	"testing"
)

// serve starts a fake server. It calls answer for each piece that it reads, which is a
// whole command, since go-redis and a Cache write one command at a time.
func serve(t *testing.T, answer func(conn net.Conn, command string)) (address string) {
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
			go answerAll(conn, answer)
		}
	}()
	return l.Addr().String()
}

func answerAll(conn net.Conn, answer func(conn net.Conn, command string)) {
	defer conn.Close()
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		answer(conn, strings.ToLower(string(buf[:n])))
	}
}
