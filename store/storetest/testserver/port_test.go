package testserver

import (
	"net"
	"strings"
	"testing"
)

// The port is taken by one that answers like a server.
func TestTakenPort(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			s := c.start(t, c.ping)
			s.Kill()
			l, err := net.Listen("tcp", loopback(s.port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s.ping = func(string) error { return nil }
			if err := s.start(); err == nil || !strings.Contains(err.Error(), "Address already in use") {
				t.Errorf("got %v, want that the port is taken", err)
			}
			taken := s.port
			s.ping = c.ping
			if err := s.startAnywhere(); err != nil || s.port == taken {
				t.Errorf("on port %d after %d: %v", s.port, taken, err)
			}
		})
	}
}
