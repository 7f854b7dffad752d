package pgstore_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/keyhatch/keyhatch/store"
	"github.com/keyhatch/keyhatch/store/pgstore"
	"github.com/keyhatch/keyhatch/store/storetest"
)

// bouncer starts PgBouncer before the server, and returns the data source name
// of the same database through it.
func bouncer(t *testing.T, dsn, mode string, size int) string {
	t.Helper()
	program := lookPath(t, "pgbouncer")
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "pgbouncer.ini")
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
`, server.Host, server.Port, server.User, port, mode, size)
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	log := run(t, folder, program, file)
	through := fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", server.User, port, server.Database)
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ping(through)
		if err == nil {
			return through
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			t.Fatalf("pgbouncer does not answer: %v\n%s", err, said)
		}
		time.Sleep(20 * time.Millisecond) // until it listens
	}
}

// run starts a program that ends with the test, and also when this process is
// killed: the shell then reads the end of its input.
func run(t *testing.T, folder, program, file string) (log string) {
	t.Helper()
	log = filepath.Join(folder, "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{"-c", `"$@" & cat; kill -9 $!; wait`, "sh", program}
	if os.Getuid() == 0 { // which pgbouncer refuses
		args = append(args, "-u", "nobody")
		for dir := folder; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command("sh", append(args, file)...)
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return log
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	const missing = "pgbouncer is not installed: it is in the package of that name"
	if os.Getenv("KEYHATCH_REQUIRE_SERVERS") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestStoreThroughPooler(t *testing.T) {
	dsn := shared(t)
	through := bouncer(t, dsn, "transaction", 3)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, through, &pgstore.Options{Schema: newSchema(t, dsn)})
	})
}

func TestPoolerIsFoundOut(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	schema := newSchema(t, dsn)
	transaction, session := bouncer(t, dsn, "transaction", 2), bouncer(t, dsn, "session", 20)
	for _, c := range []struct {
		name, dsn string
		want      pgx.QueryExecMode
	}{
		{"none", dsn, pgx.QueryExecModeCacheStatement},
		{"transaction", transaction, pgx.QueryExecModeCacheDescribe},
		{"session", session, pgx.QueryExecModeCacheDescribe},
		{"named without one", with(dsn, "default_query_exec_mode=exec"), pgx.QueryExecModeExec},
		{"named", with(transaction, "default_query_exec_mode=describe_exec"), pgx.QueryExecModeDescribeExec},
		{"named as the default", with(session, "default_query_exec_mode=cache_statement"), pgx.QueryExecModeCacheStatement},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, c.dsn, &pgstore.Options{Schema: schema})
			if got := s.Pool().Config().ConnConfig.DefaultQueryExecMode; got != c.want {
				t.Errorf("statements are sent by %v, want %v", got, c.want)
			}
			insert(t, s, record("o", c.name))
			if _, err := s.Lookup(t.Context(), record("o", c.name).Digest); err != nil {
				t.Errorf("Lookup: %v", err)
			}
		})
	}
}

// This is what finding out the pooler is for: two clients that meet in one
// session prepare the same statement.
func TestNamedStatementsBreakBehindAPooler(t *testing.T) {
	t.Parallel()
	dsn := shared(t)
	o := &pgstore.Options{Schema: newSchema(t, dsn)}
	through := bouncer(t, dsn, "transaction", 1)
	insert(t, open(t, dsn, o), record("o", "k1"))
	lookups := func(dsn string) error {
		for range 2 {
			s, err := pgstore.Open(t.Context(), dsn, o)
			if err != nil {
				return err
			}
			defer s.Close()
			if _, err := s.Lookup(t.Context(), record("o", "k1").Digest); err != nil {
				return err
			}
		}
		return nil
	}
	if err := lookups(through); err != nil {
		t.Errorf("two clients behind a pooler: %v", err)
	}
	var pgErr *pgconn.PgError
	const taken = "42P05" // prepared statement already exists
	if err := lookups(with(through, "default_query_exec_mode=cache_statement")); !errors.As(err, &pgErr) || pgErr.Code != taken {
		t.Errorf("named statements work through this pooler, so that this test shows nothing: got %v, want SQLSTATE %s", err, taken)
	}
}

func TestPoolerWithoutTransactionsIsRefused(t *testing.T) {
	t.Parallel()
	_, err := pgstore.Open(t.Context(), bouncer(t, shared(t), "statement", 2), nil)
	if err == nil || !strings.Contains(err.Error(), "set pool_mode = transaction") {
		t.Errorf("without transactions limits do not hold: got %v, want an error that says what to set", err)
	}
}
