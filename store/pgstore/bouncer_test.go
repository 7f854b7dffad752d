package pgstore_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startBouncer starts PgBouncer in front of the server, and returns the data source name
// of the same database through it. It listens on a socket in a private folder.
func startBouncer(t *testing.T, dsn, mode string, size int) string {
	t.Helper()
	program := lookPath(t, "pgbouncer")
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "pgb") // short, since a socket's path has a maximum length
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pgbouncer.ini")
	settings := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
`, server.Host, server.Port, server.User, folder, mode, size)
	if err := errors.Join(os.WriteFile(file, []byte(settings), 0o644), os.Chmod(folder, 0o777)); err != nil {
		t.Fatal(err)
	}
	log := run(t, folder, program, file)
	through := fmt.Sprintf("postgres://%s@/%s?host=%s&port=6432", server.User, server.Database, url.QueryEscape(folder))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // until it listens
		err := tryConnect(through)
		if err == nil {
			return through
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			t.Fatalf("pgbouncer does not accept connections: %v\n%s", err, said)
		}
	}
}

// run starts a program. The program and its folder are removed when the test ends, and
// when this process is killed, too: the shell then reads the end of its input.
func run(t *testing.T, folder, program, file string) (log string) {
	t.Helper()
	log = filepath.Join(folder, "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{"-c", `"$@" & cat; kill -9 $!; wait; rm -r "$0"`, folder, program}
	if os.Getuid() == 0 { // pgbouncer refuses to run as root
		args = append(args, "-u", "nobody")
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
	missing := name + " is not installed; install the package of that name"
	if os.Getenv("KEYHATCH_REQUIRE_SERVERS") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}
