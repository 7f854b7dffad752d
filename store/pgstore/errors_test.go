package pgstore_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/keyhatch/keyhatch/store/pgstore"
)

const canary = testkit.Canary

// wantRefused fails unless Open returns an error that contains all of want.
func wantRefused(t *testing.T, dsn string, want ...string) {
	t.Helper()
	s, err := pgstore.Open(t.Context(), dsn, nil)
	if err == nil {
		s.Close()
		t.Fatalf("Open succeeded, want an error with %q", want)
	}
	for _, part := range append(want, "pgstore: ") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
	wantOutage(t, err, nil, "an error of Open")
	testkit.WantNoCanary(t, err)
}

// H-10: the error for an invalid data source name says what is wrong, and does not
// contain the password.
func TestUnreadableNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dsn, want string }{
		"host and port":                {"postgres://u:" + canary + "@h:port/db", "invalid port"},
		"port out of range":            {"postgres://u:" + canary + "@h:99999/db", "invalid port"},
		"bracket":                      {"postgres://u:" + canary + "@[::1/db", "failed to parse as URL"},
		"escape":                       {"postgres://u:" + canary + "%zz@h/db", "failed to parse as URL"},
		"slash in the password":        {"postgres://u:" + canary + "/x@h/db", "invalid port"},
		"slash before the rest of it":  {"postgres://u:x/" + canary + "@h/db", "invalid port"},
		"colon in the password":        {"postgres://u@:" + canary + ":x@h/db", "invalid port"},
		"no value":                     {"host=h password=" + canary + " user", "failed to parse as keyword/value"},
		"spaces around the password":   {"host=h password = " + canary + " port=x", "invalid port"},
		"space in the password":        {"host=h password=x " + canary + " user=u", "failed to parse as keyword/value"},
		"quoted password":              {"host=h password = 'a " + canary + "' port=x", "invalid port"},
		"unfinished quote":             {"host=h password='" + canary, "failed to parse as keyword/value"},
		"escaped quote":                {`host=h password='a\'` + canary + `' port=x`, "invalid port"},
		"password in the query":        {"postgres://h:x/db?password=" + canary, "invalid port"},
		"sslmode":                      {"postgres://u:" + canary + "@h/db?sslmode=never", "sslmode is invalid"},
		"root certificate":             {"postgres://u:" + canary + "@h/db?sslmode=verify-full&sslrootcert=/no/such.pem", "/no/such.pem"},
		"connect_timeout":              {"postgres://u:" + canary + "@h/db?connect_timeout=soon", "invalid connect_timeout"},
		"pool_max_conns":               {"postgres://u:" + canary + "@h/db?pool_max_conns=many", "cannot parse pool_max_conns"},
		"pool_max_conns, keywords":     {"host=h password = " + canary + " pool_max_conns=many", "cannot parse pool_max_conns"},
		"no connections":               {"postgres://u:" + canary + "@h/db?pool_max_conns=0", "pool_max_conns too small"},
		"pool_ping_timeout":            {"postgres://u:" + canary + "@h/db?pool_ping_timeout=5", "missing unit in duration"},
		"default_query_exec_mode":      {"postgres://u:" + canary + "@h/db?default_query_exec_mode=fast", "invalid default_query_exec_mode"},
		"target_session_attrs":         {"postgres://u:" + canary + "@h/db?target_session_attrs=best", "unknown target_session_attrs value: best"},
		"service":                      {"postgres://u:" + canary + "@h/db?service=none&servicefile=/no/such.conf", "service"},
		"another scheme":               {"mysql://u:" + canary + "@h/db", "want a URL such as postgres://app@db.example.com/app"},
		"password alone":               {canary, "or keywords and values such as host=db.example.com dbname=app"},
		"number of ports and of hosts": {"postgres://u:" + canary + "@a:1,b:2,c:3/db?port=1,2", "could not match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.dsn, "invalid data source name: ", c.want)
		})
	}
}

// an empty name, for example from an unset variable, would lead to a default
// database whose tables are empty too.
func TestEmptyNames(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", " \n", "postgres://", "postgresql:///", "postgres://@/?"} {
		wantRefused(t, dsn, "the data source name is empty", "postgres://app@db.example.com/app")
	}
}

// a data source name that contains neither a host nor a database is refused, unless the
// environment contains one.
func TestNamesWithoutAServer(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGDATABASE", "PGSERVICE"} {
		t.Setenv(name, "")
	}
	for _, dsn := range []string{"sslmode=disable", "port=5432", "user=postgres", "application_name=x", "postgres://?sslmode=disable",
		"postgres://u:" + canary + "@:5432/?sslmode=disable", "postgresql:///?application_name=host"} {
		wantRefused(t, dsn, "names no server and no database", "dbname=app")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // none of these is refused before it connects
	for _, dsn := range []string{"host=/no/such/folder", "dbname=x sslmode=disable", "postgres://localhost?sslmode=disable",
		"postgres://u@[::1]:1/?sslmode=disable", "postgres:///x?sslmode=disable", "postgres:///?host=/no/such/folder"} {
		if _, err := pgstore.Open(ctx, dsn, nil); err == nil || strings.Contains(err.Error(), "names no server") {
			t.Errorf("Open(%q): got %v, want it to connect", dsn, err)
		}
	}
	for _, name := range []string{"PGHOST", "PGDATABASE"} {
		t.Setenv(name, "localhost")
		if _, err := pgstore.Open(ctx, "sslmode=disable", nil); err == nil || strings.Contains(err.Error(), "names no server") {
			t.Errorf("Open with %s: got %v, want it to connect", name, err)
		}
		t.Setenv(name, "")
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
	dsn := testkit.UsePostgreSQL(t)
	for name, c := range map[string]struct {
		dsn  string
		want []string
	}{
		"refused":        {"postgres://u:" + canary + "@" + closed + "/db", []string{closed, "refused"}},
		"no such host":   {"postgres://u:" + canary + "@nowhere.invalid/db?sslmode=require", []string{"nowhere.invalid"}},
		"no such socket": {"host=/no/such/folder user=u password=" + canary, []string{"/no/such/folder"}},
		"no database":    {logInAs(dsn, user(dsn)+":"+canary, "nothing_here", ""), []string{"nothing_here", "3D000"}},
		"no parameter":   {logInAs(dsn, user(dsn)+":"+canary, "postgres", "pasword="+canary), []string{"pasword", "42704"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, c.dsn, c.want...)
		})
	}
}

func TestServersThatLoseKeysAreRefused(t *testing.T) {
	t.Parallel()
	dsn := testkit.UsePostgreSQL(t)
	wantRefused(t, addParam(dsn, "synchronous_commit=off"), "synchronous_commit is off", "SET synchronous_commit = on")
	wantRefused(t, addParam(dsn, "default_transaction_read_only=on"), "read only", "default_transaction_read_only is on")
	wantRefused(t, addParam(dsn, "target_session_attrs=standby"), "not in hot standby mode")
}
