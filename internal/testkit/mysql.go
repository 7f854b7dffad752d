package testkit

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

var mySQL = &engine{
	name:     "MariaDB or MySQL",
	variable: "KEYHATCH_MYSQL_DSN",
	packages: "mariadb-server",
	programs: []string{"mariadbd", "mysqld"},
	user:     "mysql",
	careless: append([]string{"innodb-flush-log-at-trx-commit=0"}, unsynced...), // no test needs its data after a crash
	ready:    "ready for connections",
	quit:     "KILL",
	dsn:      func(port int) string { return fmt.Sprintf("root@tcp(%s)/", loopback(port)) },
	ping:     pingMySQL,
	command:  mysqlCommand,
	creator:  mysqlCreator,
}

// unsynced lists settings with which nothing waits for the disk.
var unsynced = []string{"innodb-flush-method=nosync", "loose-debug-no-sync"}

func mysqlCommand(program, folder string, port int, settings []string) []string {
	command := []string{program, "--no-defaults", "--datadir=" + mysqlData(folder), "--port=" + strconv.Itoa(port),
		"--bind-address=127.0.0.1", "--socket=" + filepath.Join(folder, "socket"), "--pid-file=" + filepath.Join(folder, "pid"),
		"--tmpdir=" + folder, "--max-connections=300", "--loose-mysqlx=OFF",
		"--secure-file-priv=" + folder} // by default a folder that only the system's own server may read
	return append(command, flags(settings)...)
}

func flags(settings []string) (flags []string) {
	for _, s := range settings {
		flags = append(flags, "--"+s)
	}
	return flags
}

// mysqlCreator distinguishes MySQL from MariaDB: MySQL creates its data itself, and MariaDB has a
// separate program.
func mysqlCreator(program string) (func(folder string) []string, error) {
	version, err := exec.Command(program, "--no-defaults", "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("testkit: %s --version: %w", program, err)
	}
	if !strings.Contains(string(version), "MariaDB") {
		return func(folder string) []string {
			return append([]string{program, "--no-defaults", "--initialize-insecure", "--datadir=" + mysqlData(folder)}, flags(unsynced)...)
		}, nil
	}
	install, err := find("mariadb-install-db", "mysql_install_db")
	return func(folder string) []string {
		return append([]string{install, "--no-defaults", "--datadir=" + mysqlData(folder),
			"--auth-root-authentication-method=normal", "--skip-test-db"}, flags(unsynced)...)
	}, err
}

func mysqlData(folder string) string { return filepath.Join(folder, "data") }
