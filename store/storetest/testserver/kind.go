package testserver

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A kind is what differs from one kind of server to the next.
type kind struct {
	name     string
	variable string     // of the environment, for an address
	install  string     // what brings the programs
	accounts []string   // whom to run as instead of root, the first that exists
	programs [][]string // each by its names, the best first
	signal   string     // ends the server at once and leaves nothing in the system

	// prepare is the command that fills the folder, if there is one.
	prepare func(p programs, folder string) []string

	command func(p programs, folder string, port int, settings []string) []string
	address func(port int) string
}

// programs are the paths, in the order of the kind.
type programs []string

// folders are where packages put servers that are not on every user's PATH.
var folders = []string{
	"/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec",
	"/usr/local/opt/*/bin", "/opt/homebrew/opt/*/bin",
}

func (k *kind) find() (programs, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	var found programs
	for _, names := range k.programs {
		path := find(names)
		if path == "" {
			return nil, fmt.Errorf("no %s found", strings.Join(names, " or "))
		}
		found = append(found, path)
	}
	return found, nil
}

func find(names []string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, folder := range folders {
			paths, _ := filepath.Glob(filepath.Join(folder, name))
			if len(paths) > 0 {
				return slices.Max(paths) // the newest version, more or less
			}
		}
	}
	return ""
}

var postgresql = kind{
	name:     "PostgreSQL",
	variable: "KEYHATCH_POSTGRES_DSN",
	install:  "postgresql",
	accounts: []string{"postgres", "nobody"},
	programs: [][]string{{"postgres"}, {"initdb"}},
	signal:   "QUIT", // SIGKILL would leave shared memory behind
	prepare: func(p programs, folder string) []string {
		return []string{p[1], "-D", folder + "/data", "-U", "keyhatch", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"}
	},
	command: func(p programs, folder string, port int, settings []string) []string {
		args := []string{p[0], "-D", folder + "/data"}
		for _, s := range slices.Concat([]string{
			fmt.Sprint("port=", port), "listen_addresses=127.0.0.1", "unix_socket_directories=",
			"max_connections=300", "shared_buffers=64MB",
		}, settings) {
			args = append(args, "-c", s)
		}
		return args
	},
	address: func(port int) string {
		return fmt.Sprintf("postgres://keyhatch@127.0.0.1:%d/postgres?sslmode=disable", port)
	},
}

var mysql = kind{
	name:     "MySQL",
	variable: "KEYHATCH_MYSQL_DSN",
	install:  "mariadb-server",
	accounts: []string{"mysql", "nobody"},
	programs: [][]string{{"mariadbd", "mysqld"}, {"mariadb-install-db", "mysqld"}},
	signal:   "KILL",
	prepare: func(p programs, folder string) []string {
		if p[1] == p[0] { // MySQL makes its tables by itself
			return []string{p[0], "--no-defaults", "--initialize-insecure", "--datadir=" + folder + "/data"}
		}
		return []string{p[1], "--no-defaults", "--datadir=" + folder + "/data", "--auth-root-authentication-method=normal"}
	},
	command: func(p programs, folder string, port int, settings []string) []string {
		args := []string{p[0], "--no-defaults", "--datadir=" + folder + "/data", "--socket=" + folder + "/socket",
			"--pid-file=" + folder + "/pid", "--tmpdir=" + folder, fmt.Sprint("--port=", port),
			"--bind-address=127.0.0.1", "--max-connections=300"}
		for _, s := range settings {
			args = append(args, "--"+s)
		}
		return args
	},
	address: func(port int) string { return fmt.Sprintf("root@tcp(127.0.0.1:%d)/", port) },
}

var redis = kind{
	name:     "Redis",
	variable: "KEYHATCH_REDIS_ADDR",
	install:  "redis-server",
	accounts: []string{"redis", "nobody"},
	programs: [][]string{{"redis-server", "valkey-server"}},
	signal:   "KILL",
	command: func(p programs, folder string, port int, settings []string) []string {
		args := []string{p[0], "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"}
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			args = append(args, "--"+name, value)
		}
		return args
	},
	address: func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) },
}
