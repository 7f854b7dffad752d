package testkit

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is how long a server may take to start.
const patience = 30 * time.Second

// A Server belongs to a single test. Its writes are as durable as by default: nothing is
// switched off for speed. Only the test's own goroutine may call its methods.
type Server struct {
	tb       testing.TB // nil for a shared server
	engine   *engine
	ping     func(string) error
	settings []string
	program  string
	folder   string
	port     int
	keeper   *keeper
	process  *process // nil while the server is down
}

// StartPostgreSQL starts a server that ends with the test. Settings are those of
// postgresql.conf: "default_transaction_isolation=serializable".
func StartPostgreSQL(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return start(tb, postgreSQL, settings)
}

// StartMySQL starts a server that ends with the test. Settings are those of the command
// line, without the dashes: "transaction-isolation=SERIALIZABLE".
func StartMySQL(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return start(tb, mySQL, settings)
}

// StartRedis starts a server that ends with the test. It writes nothing to disk unless a
// setting asks for it: "appendonly=yes".
func StartRedis(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	return start(tb, redis, settings)
}

func start(tb testing.TB, e *engine, settings []string) *Server {
	tb.Helper()
	s, err := newServer(e, settings)
	if errors.Is(err, errNotInstalled) {
		skip(tb, err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(s.remove)
	return s
}

// DSN is the server's address, as [UsePostgreSQL], [UseMySQL] and [UseRedis] return it. It
// stays the same when the server is started again.
func (s *Server) DSN() string { return s.engine.dsn(s.port) }

// Kill sends SIGKILL to all processes of the server and waits until they have ended. It
// does nothing if the server is down.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.process.kill()
	s.process = nil
	if s.engine.sweep != nil {
		s.engine.sweep(s.folder)
	}
}

// Start starts the server again, with the same data and port, and returns when it
// replies. It does nothing if the server is running. It also starts a server that has
// ended by itself.
func (s *Server) Start() {
	s.tb.Helper()
	if s.process != nil && s.process.runs() {
		return
	}
	s.Kill() // remaining processes
	if err := s.start(); err != nil {
		s.tb.Fatal(err)
	}
}

// newServer creates a server's data and starts it.
func newServer(e *engine, settings []string) (*Server, error) {
	program, create, err := e.find()
	if err != nil {
		return nil, err
	}
	folder, err := newFolder(e.user)
	if err != nil {
		return nil, err
	}
	s := &Server{engine: e, ping: e.ping, settings: settings, program: program, folder: folder}
	if s.keeper, err = newKeeper(folder, e.quit); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	if err := s.create(create); err != nil {
		s.remove()
		return nil, err
	}
	if err := s.startOn(freePort); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) create(command func(folder string) []string) error {
	if command == nil {
		return nil
	}
	p, err := startProcess(s.keeper, s.engine.user, s.folder, command(s.folder))
	if err != nil {
		return err
	}
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("testkit: create the data of %s: %w\n%s", s.engine.name, p.err, p.log)
	}
	return nil
}

// startOn starts the server on a port, and tries other ports if it is already in use.
func (s *Server) startOn(port func() (int, error)) (err error) {
	for range 5 {
		if s.port, err = port(); err != nil {
			return err
		}
		if err = s.start(); err == nil || !strings.Contains(err.Error(), "Address already in use") {
			return err
		}
	}
	return err
}

func (s *Server) start() (err error) {
	s.process, err = startProcess(s.keeper, s.engine.user, s.folder,
		s.engine.command(s.program, s.folder, s.port, s.settings))
	if err != nil {
		return err
	}
	if err := s.await(); err != nil {
		err = fmt.Errorf("testkit: %s: %w\n%s", s.engine.name, err, s.process.log)
		s.Kill()
		return err
	}
	return nil
}

// await returns when the server replies. It first waits for the server's own log message,
// since another server may have taken the port.
func (s *Server) await() error {
	for deadline := time.Now().Add(patience); ; {
		err := errors.New("it has not logged that it is ready")
		if s.process.log.contains(s.engine.ready) {
			err = s.ping(s.DSN())
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no reply within %v: %w", patience, err)
		}
		select {
		case <-s.process.exited:
			return fmt.Errorf("ended at once: %w", s.process.err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// remove ends the server and removes its folder.
func (s *Server) remove() {
	s.keeper.end()
	if s.process != nil {
		<-s.process.exited
		s.process = nil
	}
}
