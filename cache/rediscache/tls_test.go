package rediscache_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

// P-06: nothing is sent to another machine without TLS, except with an option whose name
// begins with Insecure.
func TestInsecureNoTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url     string
		cluster bool
		refused bool
	}{
		{"redis://nowhere.invalid", false, true},
		{"redis://u:" + canary + "@nowhere.invalid:6379/0", false, true},
		{"redis://nowhere.invalid", true, true},
		{"redis://192.0.2.1", false, true},
		{"redis://[2001:db8::1]:6379", false, true},
		{"redis://[fe80::1%25lo]", false, true},
		{"redis://0.0.0.0:1", false, true},
		{"redis://[::]:1", false, true},
		{"redis://localhost.nowhere.invalid", false, true},
		{"redis://127.0.0.1.nowhere.invalid", false, true},
		{"rediss://nowhere.invalid", false, false},
		{"rediss://nowhere.invalid", true, false},
		{"redis://localhost:1", false, false},
		{"redis://127.0.0.1:1", false, false},
		{"redis://127.9.9.9:1", true, false},
		{"redis://[::1]:1", false, false},
		{"redis://:1", false, false}, // go-redis connects to localhost
		{"unix:///no/such/socket", false, false},
	} {
		t.Run(c.url, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			for _, insecure := range []bool{false, true} {
				_, err := rediscache.Open(ctx, c.url, secret, &rediscache.Options{Cluster: c.cluster, InsecureNoTLS: insecure})
				if err == nil {
					t.Fatal("Open without a server: got no error")
				}
				testkit.WantNoCanary(t, err)
				if got, want := strings.Contains(err.Error(), "use rediss://, or see Options.InsecureNoTLS"), c.refused && !insecure; got != want {
					t.Errorf("InsecureNoTLS %t: got %v, want refused for missing TLS = %t", insecure, err, want)
				}
			}
		})
	}
}

// Open refuses to connect without TLS to a node on another machine that a cluster on
// this machine names.
func TestClusterOfOtherHosts(t *testing.T) {
	t.Parallel()
	address := serve(t, func(conn net.Conn, command string) {
		switch {
		case strings.Contains(command, "slots"):
			io.WriteString(conn, "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n192.0.2.1\r\n:6379\r\n$40\r\n"+strings.Repeat("a", 40)+"\r\n")
		case strings.Contains(command, "hello"), strings.Contains(command, "shards"), strings.Contains(command, "command"):
			io.WriteString(conn, "-ERR unknown command\r\n")
		default:
			io.WriteString(conn, "+PONG\r\n")
		}
	})
	_, err := rediscache.Open(t.Context(), "redis://"+address, secret, &rediscache.Options{Cluster: true})
	if err == nil || !strings.Contains(err.Error(), "InsecureNoTLS") {
		t.Errorf("Open of a cluster with a node elsewhere: got %v, want it refused for missing TLS", err)
	}
}

// TLS that does not check the certificate protects nothing.
func TestSkipVerifyIsRefused(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so that Open does not connect
	for _, insecure := range []bool{false, true} {
		_, err := rediscache.Open(ctx, "rediss://cache.example.com?skip_verify=true", secret, &rediscache.Options{InsecureNoTLS: insecure})
		if err == nil || strings.Contains(err.Error(), "skip_verify") == insecure {
			t.Errorf("InsecureNoTLS %t: got %v, want skip_verify refused = %t", insecure, err, !insecure)
		}
	}
}
