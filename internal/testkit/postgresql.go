package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

var postgreSQL = &engine{
	name:     "PostgreSQL",
	variable: "KEYHATCH_POSTGRES_DSN",
	packages: "postgresql",
	programs: []string{"postgres"},
	user:     "postgres",
	careless: []string{"fsync=off"}, // no test needs its data after a crash of the machine
	ready:    "database system is ready to accept",
	quit:     "QUIT", // SIGKILL would leave shared memory behind
	dsn: func(port int) string {
		return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", loopback(port))
	},
	ping:    pingPostgreSQL,
	command: postgresCommand,
	creator: postgresCreator,
	sweep:   sweepPostgres,
}

func postgresCommand(program, folder string, port int, settings []string) []string {
	command := []string{program, "-D", postgresData(folder), "-p", strconv.Itoa(port)}
	ours := []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
		"dynamic_shared_memory_type=mmap", // files in the folder, which are removed with it
	}
	for _, s := range append(ours, settings...) {
		command = append(command, "-c", s)
	}
	return command
}

// postgresCreator uses the initdb in the server's folder, which has the same version.
func postgresCreator(program string) (func(folder string) []string, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return nil, err
	}
	initdb, err := exec.LookPath(filepath.Join(filepath.Dir(real), "initdb"))
	if err != nil {
		initdb, err = find("initdb")
	}
	return func(folder string) []string {
		return []string{initdb, "-D", postgresData(folder), "--username=postgres", "--auth=trust",
			"--encoding=UTF8", "--locale=C", "--no-sync"}
	}, err
}

// Standby restarts a PostgreSQL server as a standby that has lost its primary: it
// accepts no writes until pg_promote is called.
func (s *Server) Standby() {
	s.tb.Helper()
	s.Kill()
	if err := os.WriteFile(filepath.Join(postgresData(s.folder), "standby.signal"), nil, 0o600); err != nil {
		s.tb.Fatal(err)
	}
	s.Start()
}

func postgresData(folder string) string { return filepath.Join(folder, "data") }

// sweepPostgres removes the shared memory with which a server detects that another one
// uses its data. The id of that memory is at the end of the seventh line.
func sweepPostgres(folder string) {
	file, err := os.ReadFile(filepath.Join(postgresData(folder), "postmaster.pid"))
	if lines := strings.Split(string(file), "\n"); err == nil && len(lines) > 6 {
		if fields := strings.Fields(lines[6]); len(fields) == 2 {
			exec.Command("ipcrm", "-m", fields[1]).Run() // usually removed already
		}
	}
}
