package testkit

import (
	"net"
	"strings"
	"testing"
)

func another(t *testing.T) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Another server that replies to pings has taken the port.
func TestTakenPort(t *testing.T) {
	for _, c := range servers {
		t.Run(c.engine.name, func(t *testing.T) {
			t.Parallel()
			s := c.start(t)
			s.Kill()
			l, err := net.Listen("tcp", loopback(s.port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s.ping = func(string) error { return nil }
			if err := s.start(); err == nil || !strings.Contains(err.Error(), "Address already in use") {
				t.Fatalf("got %v, want an error that says the port is in use", err)
			}
			s.ping = c.engine.ping
			ports := []int{s.port, s.port, another(t)}
			err = s.startOn(func() (port int, err error) {
				port, ports = ports[0], ports[1:]
				return port, nil
			})
			if err != nil || len(ports) != 0 {
				t.Errorf("got %v, want the third port to be taken", err)
			}
		})
	}
}
