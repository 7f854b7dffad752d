package rediscache_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

const canary = testkit.Canary

// wantRefused fails unless Open returns an error that contains each of these.
func wantRefused(t *testing.T, url string, o *rediscache.Options, want ...string) {
	t.Helper()
	c, err := rediscache.Open(t.Context(), url, secret, o)
	if err == nil {
		c.Close()
		t.Fatalf("Open: got no error, want one with %q", want)
	}
	for _, part := range append(want, "rediscache: ") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error must name the fault: got %v, want %q in it", err, part)
		}
	}
	testkit.WantNoCanary(t, err)
}

// The error for an invalid URL names the fault and does not quote the password.
func TestUnreadableURLs(t *testing.T) {
	t.Parallel()
	const encode = "percent-encoded"
	for name, c := range map[string]struct{ url, want string }{
		"port":                        {"redis://u:" + canary + "@h:port/0", encode},
		"escape":                      {"redis://u:" + canary + "%zz@h/0", encode},
		"slash in the password":       {"redis://u:" + canary + "/x@h/0", encode},
		"slash before the rest of it": {"redis://u:12/" + canary + "@h/0", encode},
		"question mark":               {"redis://u:12?" + canary + "@h/0", encode},
		"question mark, a known name": {"redis://u:12?db=" + canary + "@h/0", encode},
		"hash":                        {"redis://u:12#" + canary + "@h/0", encode},
		"two ats":                     {"redis://u:" + canary + "@x/" + canary + "@h/0", encode},
		"password alone":              {canary, "must begin with redis://"},
		"scheme":                      {"http://u:" + canary + "@h/0", "must begin with redis://, rediss:// or unix://"},
		"host and port alone":         {"localhost:6379", "must begin with redis://, rediss:// or unix://, as in redis://localhost:6379"},
		"address and port alone":      {"127.0.0.1:6379", "must begin with redis://"},
		"password and host alone":     {canary + "@localhost:6379", "must begin with redis://"},
		"database":                    {"redis://u:" + canary + "@h/zero", `invalid database number: "zero"`},
		"negative database":           {"redis://u:" + canary + "@h/-1", "db: got -1"},
		"parameter":                   {"redis://u:" + canary + "@h/0?pasword=" + canary, "unexpected option: pasword"},
		"duration":                    {"redis://u:" + canary + "@h/0?dial_timeout=soon", "dial_timeout"},
		"pool_size":                   {"redis://u:" + canary + "@h/0?pool_size=-1", "pool_size: got -1"},
		"a huge pool":                 {"redis://u:" + canary + "@h/0?pool_size=3000000000", "pool_size: got 3000000000"},
		"nothing":                     {"", "it is empty"},
		"no host":                     {"redis://", "names no host"},
		"no host, but a port":         {"redis://:6379/0", "names no host"},
		"no host, but a password":     {"rediss://u:" + canary + "@/0", "names no host"},
		"no socket":                   {"unix://u:" + canary + "@", "empty unix socket path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.url, nil, "the URL: ", c.want)
		})
	}
}

func TestUnreachableServers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	for name, c := range map[string]struct {
		url  string
		want string
	}{
		"refused":        {"redis://u:" + canary + "@" + closed, "refused"},
		"no such host":   {"rediss://u:" + canary + "@nowhere.invalid", "nowhere.invalid"},
		"no such socket": {"unix://u:" + canary + "@/no/such/socket", "/no/such/socket"},
		"no TLS":         {"rediss://u:" + canary + "@" + testkit.UseRedis(t), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.url, nil, c.want)
		})
	}
}

func TestWrongPasswords(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t, "requirepass=right").DSN()
	open(t, "redis://:right@"+address, nil)
	wantRefused(t, "redis://:"+canary+"@"+address, nil, "WRONGPASS")
	wantRefused(t, "redis://nobody:"+canary+"@"+address, nil, "WRONGPASS")
	wantRefused(t, "redis://"+address, nil, "NOAUTH")
	wantRefused(t, "redis://:right@"+address+"/99?client_name="+url.QueryEscape("a b"), nil, "")
}

// Some servers quote the arguments of a command that they do not know.
func TestServerThatQuotesThePassword(t *testing.T) {
	t.Parallel()
	address := serve(t, func(conn net.Conn, _ string) {
		fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: '%s'\r\n", canary)
	})
	wantRefused(t, "redis://:"+canary+"@"+address, nil, "unknown command", "…")
}
