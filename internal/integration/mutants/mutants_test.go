package mutants_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// root is the path to the repository's root.
const root = "../../.."

// the tests of each mutant detect it.
//
// By default, the test checks the texts of all mutants and tries one mutant. With
// KEYHATCH_MUTANTS=1/1 it tries all, and with 2/3 the second of three parts. Any other value
// is a regular expression of names.
func TestMutants(t *testing.T) {
	wanted, err := selection(os.Getenv("KEYHATCH_MUTANTS"))
	if err != nil {
		t.Fatal(err)
	}
	dir, seen, shared := t.TempDir(), map[string]bool{}, map[string]*program{}
	var all []attempt
	mutants, err := readMutants()
	if err != nil || len(mutants) == 0 {
		t.Fatalf("got %d mutants, %v", len(mutants), err)
	}
	code := code{}
	for i, m := range mutants {
		if id := m.name + " in " + m.pkg; seen[id] {
			t.Errorf("two mutants are named %q", m.name)
		} else {
			seen[id] = true
		}
		changed, err := m.mutate(code)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		} else if wanted(i, m.name) {
			if shared[m.pkg] == nil {
				shared[m.pkg] = newProgram(m.pkg)
			}
			all = append(all, newAttempt(m, i+1, shared[m.pkg], changed))
		}
	}
	for _, a := range all {
		t.Run(strings.ReplaceAll(a.name+" in "+path.Base(a.pkg), " ", "_"), func(t *testing.T) {
			t.Parallel() // one compiles while another waits for its timeouts
			a.try(t, dir)
		})
	}
}

// selection returns a function that selects mutants by their index in the table and name.
func selection(text string) (func(i int, name string) bool, error) {
	if text == "" {
		text = "^the cache is filled during a write$"
	}
	part, parts := 1, 1
	if n, _ := fmt.Sscanf(text, "%d/%d", &part, &parts); n < 2 {
		pattern, err := regexp.Compile(text)
		return func(_ int, name string) bool { return pattern.MatchString(name) }, err
	}
	if part < 1 || part > parts {
		return nil, fmt.Errorf("KEYHATCH_MUTANTS is %q, want a part such as 1/1 or 2/3", text)
	}
	return func(i int, _ string) bool { return i%parts == part-1 }, nil
}

// An attempt is the test of one mutant.
type attempt struct {
	mutant
	number   int
	unbroken *program // without an active mutant
	broken   *program // the same program, or one with only this mutant
}

// readsSource is the package whose tests read source text. They must read the source text of the
// mutant.
const readsSource = "./internal/integration/requirements"

// overlayVariable names, for these tests, a file in the format of go build -overlay.
const overlayVariable = "KEYHATCH_OVERLAY"

// newAttempt puts the mutant into the package's shared program if it can be switched.
func newAttempt(m mutant, number int, shared *program, changed []mutation) attempt {
	a := attempt{m, number, shared, shared}
	inserts := map[string][]insert{}
	for _, c := range changed {
		in, ok := switched(number, c.original, c.mutated)
		if !ok || m.pkg == readsSource {
			a.broken = newProgram(m.pkg)
			for _, c := range changed {
				a.broken.files[c.file] = c.mutated
			}
			return a
		}
		inserts[c.file] = in
	}
	for file, in := range inserts {
		shared.inserts[file] = append(shared.inserts[file], in...)
	}
	return a
}

// try fails the test unless the mutant compiles, a test fails with it, and no test fails
// without it.
func (a attempt) try(t *testing.T, dir string) {
	if err := a.unbroken.passes(dir, a.run); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if a.broken != a.unbroken {
		dir = t.TempDir()
	}
	if err := a.broken.build(dir); err != nil {
		t.Fatal(err)
	}
	compiled := time.Since(began).Round(100 * time.Millisecond)
	c := a.broken.tests(a.run)
	c.Env = append(c.Env, switchVariable+"="+strconv.Itoa(a.number), overlayVariable+"="+a.broken.overlay)
	out, err := c.CombinedOutput()
	took := time.Since(began).Round(100 * time.Millisecond)
	if err == nil {
		t.Errorf("the mutant survived %s -run %q, in %v, %v of it to compile: no test detects it\n%s", a.pkg, a.run, took, compiled, a.edits)
		return
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !exit.Exited() {
		t.Fatalf("the tests did not finish: %v\n%s", err, out)
	}
	t.Logf("killed in %v, %v of it to compile, by %s", took, compiled, symptom(out))
}

// command returns a command that runs in the root, with the short counts.
func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = root
	c.Env = append(os.Environ(), "KEYHATCH_SOAK=", "KEYHATCH_MUTANTS=")
	return c
}

var failure = regexp.MustCompile(`(?m)^ *--- FAIL: \S+|^panic: .{0,80}|^fatal error: .*`)

// symptom returns the failure in the output of a run.
func symptom(out []byte) string {
	found := failure.FindAll(out, 4)
	return strings.TrimSpace(string(bytes.Join(found, []byte(", "))))
}
