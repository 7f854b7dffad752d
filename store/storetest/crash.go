package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

// An Opener opens the store at an address, and says how to close it.
type Opener func(ctx context.Context, address string) (store.Store, io.Closer, error)

// Crash checks that what a store acknowledged outlives the process: another
// process, which is this test once more, writes to the store in every way and
// is killed, kills times, at a random instant of the 50 ms after every kind of
// write has succeeded once. Each time the store is opened again; whatever was
// acknowledged must be there, and what was under way must have happened in full
// or not at all. Since nothing else disturbs the store, no call may fail. That
// power is lost is another matter, which no process can try.
//
// The address is made once, in this process, and names an empty database. Call
// Crash first thing in a test, and once: what comes before it runs in the other
// process too. A subtest is a test of its own. On Windows, where a process
// inherits no such pipe as the writer needs, the test is skipped.
func Crash(t *testing.T, kills int, address func(t testing.TB) string, open Opener) {
	t.Helper()
	if written(t, open) {
		return
	}
	at := address(t)
	var rounds []map[string]*account
	acknowledged, under := 0, map[string]int{}
	for round := range kills {
		w := startWriter(t, at, round)
		w.await(t, len(steps), 0)
		time.Sleep(rand.N(50 * time.Millisecond)) // the crash may come at any moment
		said := w.kill(t)
		accounts := said.accounts(false)
		acknowledged += said.succeeded()
		interrupted(accounts, under)
		check(t, at, open, accounts, true)
		rounds = append(rounds, accounts)
	}
	for _, accounts := range rounds { // a later crash may undo what an earlier one left
		check(t, at, open, accounts, false)
	}
	t.Logf("%d kills, %d acknowledged calls, under way at a kill: %v", kills, acknowledged, under)
}

// CrashServer is like [Crash] for a database server: the writing process lives,
// and crash kills the server and starts it again, and returns when it is back.
// Calls that fail may have happened. A store that is open goes on as soon as
// its server does: every kind of write succeeds again within a minute.
func CrashServer(t *testing.T, kills int, address func(t testing.TB) string, open Opener, crash func() error) {
	t.Helper()
	if written(t, open) {
		return
	}
	at := address(t)
	w := startWriter(t, at, 0)
	w.await(t, len(steps), 0)
	for n := range kills {
		time.Sleep(rand.N(50 * time.Millisecond)) // the crash may come at any moment
		if err := crash(); err != nil {
			t.Fatal(err)
		}
		w.mark(t)
		w.await(t, len(steps), int64(n+1)) // it goes on
	}
	said := w.kill(t)
	accounts, failed := said.accounts(true), map[string]int{}
	interrupted(accounts, failed)
	check(t, at, open, accounts, true)
	t.Logf("%d kills, %d acknowledged calls, failed: %v", kills, said.succeeded(), failed)
}

// patience is how long a server may be at work for a process that is gone.
const patience = 5 * time.Second

func check(t *testing.T, address string, open Opener, accounts map[string]*account, fill bool) {
	t.Helper()
	s, c, err := open(t.Context(), address)
	if err != nil {
		t.Fatalf("the store does not open after a crash: %v", err)
	}
	defer c.Close()
	if fill {
		for _, a := range accounts {
			a.fill(t.Context(), s)
		}
	}
	for i, fault := range faults(t.Context(), s, accounts, patience) {
		if t.Error(fault); i == 4 {
			t.Fatal("and perhaps more")
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// The environment of a writing process.
const (
	testVariable    = "KEYHATCH_CRASH_TEST"
	addressVariable = "KEYHATCH_CRASH_ADDRESS"
	roundVariable   = "KEYHATCH_CRASH_ROUND"
)

// written does the writing if this is the process for that.
func written(t *testing.T, open Opener) bool {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be given a pipe to write to on Windows")
	}
	test, child := os.LookupEnv(testVariable)
	if child && test == t.Name() { // and not that of a test around it
		t.Fatal(write(open, os.Getenv(addressVariable), os.Getenv(roundVariable), os.NewFile(3, "journal"), os.Stdin))
	}
	return child
}

// A writer is a process that writes to a store.
type writer struct {
	cmd   *exec.Cmd
	marks io.WriteCloser
	lines chan line // closed when the process has ended
	read  journal
}

func startWriter(t *testing.T, address string, round int) *writer {
	t.Helper()
	var name []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		name = append(name, "^"+regexp.QuoteMeta(part)+"$")
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run="+strings.Join(name, "/"))
	cmd.Env = append(os.Environ(), testVariable+"="+t.Name(), addressVariable+"="+address, fmt.Sprint(roundVariable, "=", round))
	cmd.ExtraFiles = []*os.File{to}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	marks, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	to.Close()
	if err != nil {
		from.Close()
		t.Fatal(err)
	}
	w := &writer{cmd: cmd, marks: marks, lines: make(chan line, 10_000)}
	go w.follow(from)
	t.Cleanup(func() { w.end() })
	return w
}

func (w *writer) follow(from *os.File) {
	defer close(w.lines)
	defer from.Close()
	for text := bufio.NewScanner(from); text.Scan(); {
		var l line
		if json.Unmarshal(text.Bytes(), &l) != nil {
			return // it was cut off, so it was not said
		}
		w.lines <- l
	}
}

// mark has the calls that begin from now on say so.
func (w *writer) mark(t *testing.T) {
	t.Helper()
	if _, err := w.marks.Write([]byte{'!'}); err != nil {
		t.Fatal(err)
	}
}

// await returns when so many different steps had a call succeed that began
// after the mark: what was said before it may still be in the pipe.
func (w *writer) await(t *testing.T, n int, mark int64) {
	t.Helper()
	late := time.After(time.Minute)
	for went := map[string]bool{}; len(went) < n; {
		select {
		case l, ok := <-w.lines:
			if !ok {
				t.Fatal("the writing process ended by itself")
			}
			w.read = append(w.read, l)
			if l.Answer == succeeded && l.Mark >= mark {
				went[l.Step] = true
			}
		case <-late:
			t.Fatalf("%d of %d kinds of write succeeded within a minute: %v", len(went), n, went)
		}
	}
}

// kill ends the process, and returns all that it said.
func (w *writer) kill(t *testing.T) journal {
	t.Helper()
	if w.end(); w.cmd.ProcessState.Exited() {
		t.Fatal("the writing process ended by itself")
	}
	return w.read
}

func (w *writer) end() {
	w.cmd.Process.Kill()
	for l := range w.lines {
		w.read = append(w.read, l)
	}
	w.cmd.Wait() // how it ended is in its ProcessState
}
