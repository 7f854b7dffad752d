package pgstore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

// P-06: nothing is sent to another machine without TLS, unless an option whose name
// begins with Insecure allows it.
func TestInsecureNoTLS(t *testing.T) {
	for _, c := range []struct {
		name, dsn string
		env       map[string]string
		refused   bool
	}{
		{"default", "postgres://nowhere.invalid/db", nil, true},
		{"disable", "postgres://u:" + canary + "@nowhere.invalid/db?sslmode=disable", nil, true},
		{"allow", "postgres://nowhere.invalid/db?sslmode=allow", nil, true},
		{"prefer", "postgres://nowhere.invalid/db?sslmode=prefer", nil, true},
		{"require", "postgres://nowhere.invalid/db?sslmode=require", nil, false},
		{"verify-ca", "postgres://nowhere.invalid/db?sslmode=verify-ca", nil, false},
		{"verify-full", "postgres://nowhere.invalid/db?sslmode=verify-full", nil, false},
		{"IPv4", "postgres://192.0.2.1/db", nil, true},
		{"IPv6", "postgres://[2001:db8::1]:5432/db", nil, true},
		{"any address", "postgres://0.0.0.0:1/db", nil, true},
		{"keywords", "host=nowhere.invalid dbname=db", nil, true},
		{"keywords with TLS", "host=nowhere.invalid dbname=db sslmode=verify-full", nil, false},
		{"host as a parameter", "postgres:///db?host=nowhere.invalid", nil, true},
		{"the second of two hosts", "postgres://127.0.0.1:1,nowhere.invalid:1/db", nil, true},
		{"the second of two hosts, after a socket", "host=/no/such/folder,nowhere.invalid dbname=db", nil, true},
		{"loopback", "postgres://127.0.0.1:1/db", nil, false},
		{"loopback of IPv6", "postgres://[::1]:1/db?sslmode=disable", nil, false},
		{"localhost", "postgres://localhost:1/db", nil, false},
		{"two hosts here", "postgres://localhost:1,127.0.0.1:1/db", nil, false},
		{"socket", "host=/no/such/folder dbname=db", nil, false},
		{"socket in a URL", "postgres:///db?host=/no/such/folder", nil, false},
		{"PGHOST", "dbname=db", map[string]string{"PGHOST": "nowhere.invalid"}, true},
		{"PGHOST with PGSSLMODE", "dbname=db", map[string]string{"PGHOST": "nowhere.invalid", "PGSSLMODE": "verify-full"}, false},
		{"PGSSLMODE disable", "postgres://nowhere.invalid/db", map[string]string{"PGSSLMODE": "disable"}, true},
		{"sslmode over PGSSLMODE", "postgres://nowhere.invalid/db?sslmode=allow", map[string]string{"PGSSLMODE": "verify-full"}, true},
		{"service", "service=remote", nil, true},
		{"service with TLS", "service=secure", nil, false},
		{"PGSERVICE", "dbname=db", map[string]string{"PGSERVICE": "remote"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			services := filepath.Join(t.TempDir(), "services")
			if err := os.WriteFile(services, []byte("[remote]\nhost=nowhere.invalid\n[secure]\nhost=nowhere.invalid\nsslmode=require\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PGSERVICEFILE", services)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			for _, insecure := range []bool{false, true} {
				_, err := pgstore.Open(ctx, c.dsn, &pgstore.Options{InsecureNoTLS: insecure})
				if err == nil {
					t.Fatal("Open without a server: got no error")
				}
				testkit.WantNoCanary(t, err)
				if got, want := strings.Contains(err.Error(), "add sslmode=verify-full, or see Options.InsecureNoTLS"), c.refused && !insecure; got != want {
					t.Errorf("InsecureNoTLS %t: got %v, want an error about TLS = %t", insecure, err, want)
				}
			}
		})
	}
}

func TestListenerWithoutTLS(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	_, err := s.Bus(t.Context(), &pgstore.BusOptions{DSN: "postgres://u:" + canary + "@nowhere.invalid/db"})
	if err == nil || !strings.Contains(err.Error(), "InsecureNoTLS") {
		t.Errorf("Bus with a DSN without TLS: got %v, want an error about TLS", err)
	}
	testkit.WantNoCanary(t, err)
}

// C-16: messages are authenticated with a key that depends on the secret and the
// channel.
func TestBusSecret(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	s := open(t, dsn, &pgstore.Options{Schema: testkit.CreateSchema(t, dsn)})
	for name, secret := range map[string]string{"short": strings.Repeat("x", pgstore.MinSecret-1), "of zeros": strings.Repeat("\x00", 64)} {
		if _, err := s.Bus(t.Context(), &pgstore.BusOptions{Secret: []byte(secret)}); err == nil || !strings.Contains(err.Error(), "BusOptions.Secret") {
			t.Errorf("Bus with a secret that is %s: got %v, want an error", name, err)
		}
	}
	key := func(secret, channel string) string {
		return string(openBus(t, s, &pgstore.BusOptions{Secret: []byte(secret), Channel: channel}).MACKey())
	}
	one, two := strings.Repeat("1", pgstore.MinSecret), strings.Repeat("2", pgstore.MinSecret)
	if key("", "a") != "" {
		t.Error("a bus without a secret returned a key")
	}
	if k := key(one, "a"); k == "" || k == one || k != key(one, "a") || k == key(two, "a") || k == key(one, "b") {
		t.Error("the key must depend only on the secret and the channel")
	}
}
