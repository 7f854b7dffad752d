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

// An Opener opens the store at an address, and returns a function that closes it.
type Opener func(ctx context.Context, address string) (store.Store, io.Closer, error)

// Crash checks that acknowledged writes survive the death of the process. It runs this
// test again in another process, which makes every kind of write. Once each has
// succeeded, Crash kills that process at a random instant within 50 ms, and opens the
// store again. It does all this kills times. Acknowledged writes must be there, and
// unfinished ones must have happened in full or not at all. Nothing else uses the store,
// so no call may fail. Crash cannot simulate a power failure.
//
// The address is created once, in this process, and must name an empty database. Call
// Crash once per test or subtest, before anything else, since the statements before it
// run in the other process too. On Windows the test is skipped, since a process cannot
// inherit the pipe that the writer needs.
func Crash(t *testing.T, kills int, address func(t testing.TB) string, open Opener) {
	t.Helper()
	if runWriter(t, open) {
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
	for _, accounts := range rounds { // a later crash must not undo what survived an earlier one
		check(t, at, open, accounts, false)
	}
	t.Logf("%d kills, %d acknowledged calls, in progress at a kill: %v", kills, acknowledged, under)
}

// CrashServer is [Crash] for a database server. The writing process stays alive, and
// crash kills the server, starts it again, and returns when it is ready. Calls that
// fail may have happened. An open store must recover when its server does: every kind
// of write must succeed again within a minute.
func CrashServer(t *testing.T, kills int, address func(t testing.TB) string, open Opener, crash func() error) {
	t.Helper()
	if runWriter(t, open) {
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
		w.await(t, len(steps), int64(n+1)) // the store has recovered
	}
	said := w.kill(t)
	accounts, failed := said.accounts(true), map[string]int{}
	interrupted(accounts, failed)
	check(t, at, open, accounts, true)
	t.Logf("%d kills, %d acknowledged calls, failed: %v", kills, said.succeeded(), failed)
}

// patience is how long a server may still execute a call of a process that has died.
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
			t.Fatal("the remaining faults, if any, are not reported")
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// The environment variables of a writing process.
const (
	testVariable    = "KEYHATCH_CRASH_TEST"
	addressVariable = "KEYHATCH_CRASH_ADDRESS"
	roundVariable   = "KEYHATCH_CRASH_ROUND"
)

// In the writer process, runWriter writes to the store and never returns. Elsewhere it
// reports whether this process is another test's writer.
func runWriter(t *testing.T, open Opener) bool {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot inherit a pipe on Windows")
	}
	test, child := os.LookupEnv(testVariable)
	if child && test == t.Name() { // false in a parent of the writer's test
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
			return // the line was cut off, so it does not count
		}
		w.lines <- l
	}
}

// mark writes one byte to the writer, which counts these marks. Each line of the journal contains
// the count.
func (w *writer) mark(t *testing.T) {
	t.Helper()
	if _, err := w.marks.Write([]byte{'!'}); err != nil {
		t.Fatal(err)
	}
}

// await returns when n different steps have each had a call that began after the mark
// and succeeded. Lines from before the mark may still be in the pipe.
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
			if l.Result == succeeded && l.Mark >= mark {
				went[l.Step] = true
			}
		case <-late:
			t.Fatalf("%d of %d kinds of write succeeded within a minute: %v", len(went), n, went)
		}
	}
}

// kill ends the process, and returns its whole journal.
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
	w.cmd.Wait() // its ProcessState shows how it ended
}
