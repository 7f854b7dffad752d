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
// is killed at a random instant, so and so many times. Each time the store is
// opened again; whatever was acknowledged must be there, and what was under way
// must have happened in full or not at all.
//
// The address is made once, in this process. Call Crash first thing in a test:
// what comes before it runs in the other process too.
func Crash(t *testing.T, kills int, address func(t testing.TB) string, open Opener) {
	t.Helper()
	if written(t, open) {
		return
	}
	at := address(t)
	var all journal
	for round := range kills {
		w := startWriter(t, at, round)
		w.await(t, 1)
		time.Sleep(rand.N(50 * time.Millisecond)) // the crash may come at any moment
		lines := w.kill(t)
		all = append(all, lines...)
		check(t, at, open, lines)
	}
	check(t, at, open, all)
	t.Logf("%d kills, %d acknowledged writes", kills, len(all.done()))
}

// CrashServer is like [Crash] for a database server: the writing process lives,
// and crash kills the server and starts it again. Calls that fail meanwhile may
// have happened; the writer goes on as soon as the store does.
func CrashServer(t *testing.T, kills int, address func(t testing.TB) string, open Opener, crash func() error) {
	t.Helper()
	if written(t, open) {
		return
	}
	at := address(t)
	w := startWriter(t, at, 0)
	for range kills {
		w.await(t, 100)
		time.Sleep(rand.N(50 * time.Millisecond)) // the crash may come at any moment
		if err := crash(); err != nil {
			t.Fatal(err)
		}
	}
	w.await(t, 100) // it goes on after the last one
	all := w.kill(t)
	check(t, at, open, all)
	t.Logf("%d kills, %d acknowledged writes, %d failed", kills, len(all.done()), len(all.failed()))
}

func check(t *testing.T, address string, open Opener, lines journal) {
	t.Helper()
	s, c, err := open(t.Context(), address)
	if err != nil {
		t.Fatalf("the store does not open after a crash: %v", err)
	}
	defer c.Close()
	found, err := lines.find(t.Context(), s)
	if err != nil {
		t.Fatalf("the store cannot be read after a crash: %v", err)
	}
	for _, fault := range lines.faults(found) {
		t.Error(fault)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// The environment of a writing process.
const (
	addressVariable = "KEYHATCH_CRASH_ADDRESS"
	roundVariable   = "KEYHATCH_CRASH_ROUND"
)

// written does the writing if this is the process for that.
func written(t *testing.T, open Opener) bool {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be given a pipe to write to on Windows")
	}
	address, child := os.LookupEnv(addressVariable)
	if child {
		t.Fatal(write(open, address, os.Getenv(roundVariable), os.NewFile(3, "journal")))
	}
	return child
}

// A writer is a process that writes to a store.
type writer struct {
	cmd   *exec.Cmd
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
	cmd.Env = append(os.Environ(), addressVariable+"="+address, fmt.Sprint(roundVariable, "=", round))
	cmd.ExtraFiles = []*os.File{to}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err = cmd.Start()
	to.Close()
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{cmd: cmd, lines: make(chan line, 1000)}
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

// await returns after n more acknowledgements.
func (w *writer) await(t *testing.T, n int) {
	t.Helper()
	late := time.After(time.Minute)
	for n > 0 {
		select {
		case l, ok := <-w.lines:
			if !ok {
				t.Fatal("the writing process ended by itself")
			}
			w.read = append(w.read, l)
			if l.State == done {
				n--
			}
		case <-late:
			t.Fatal("nothing was acknowledged for a minute")
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
