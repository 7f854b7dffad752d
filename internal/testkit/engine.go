package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
)

// An engine is a kind of server.
type engine struct {
	name     string
	variable string   // environment variable with the address of a server to use instead
	packages string   // packages to install
	programs []string // names of the server's program, the preferred one first
	user     string   // the user that runs it if the tests run as root
	careless []string // settings of the shared server
	ready    string   // the log message of a server that listens
	quit     string   // the signal that ends it at once and leaves nothing behind

	dsn     func(port int) string
	ping    func(dsn string) error // returns nil if the server replies
	command func(program, folder string, port int, settings []string) []string
	// creator returns the command that creates the data of a program. It is nil if
	// the program creates the data itself.
	creator func(program string) (command func(folder string) []string, err error)
	sweep   func(folder string) // removes the resources that a killed server leaves outside the folder; may be nil
}

// errNotInstalled is wrapped by errors that name the packages to install.
var errNotInstalled = errors.New("not installed")

// find returns the server's program, and the command that creates its data, if any.
func (e *engine) find() (program string, create func(folder string) []string, err error) {
	if !supported {
		return "", nil, fmt.Errorf("testkit: %s: %w; use a server on another machine", e.name, errNotInstalled)
	}
	if program, err = find(e.programs...); err == nil && e.creator != nil {
		create, err = e.creator(program)
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("testkit: %s: %w; install %s", e.name, errNotInstalled, e.packages)
	}
	return program, create, err
}

// places lists folders of servers that are often missing in PATH.
var places = []string{
	"/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
	"/usr/local/opt/*/bin", "/opt/homebrew/bin", "/opt/homebrew/opt/*/bin",
}

// find returns the path of the first program that exists, or [exec.ErrNotFound].
func find(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
		for _, place := range places {
			found, _ := filepath.Glob(filepath.Join(place, name)) // the pattern is constant and valid
			for i := len(found) - 1; i >= 0; i-- {                // the newest version
				if path, err := exec.LookPath(found[i]); err == nil {
					return path, nil
				}
			}
		}
	}
	return "", exec.ErrNotFound
}

// freePort returns a free port below the range for outgoing connections, so that it
// stays free while a server restarts.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 15000 + rand.IntN(15000)
		var l net.Listener
		if l, err = net.Listen("tcp", loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("testkit: no free port: %w", err)
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
