package mutants_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A mutant is a deliberate fault and the tests that must detect it.
type mutant struct {
	name  string
	file  string // path from the root of the repository
	edits edits
	pkg   string // folder of the tests, from the root
	run   string // regular expression of tests; a narrow one is faster
}

// edits are old and new texts, alternately. Each old text must occur exactly once, so that a
// change of the line fails until the mutant is updated.
type edits []string

// root is the path to the repository's root.
const root = "../../.."

// the tests of each mutant in the tables detect it.
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
	for i, m := range slices.Concat(mutants, sqlMutants, hiddenMutants, instanceMutants, busMutants, planMutants, panelMutants, sourceMutants, simulationMutants, overloadMutants, failoverMutants, tenantMutants) {
		if seen[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		seen[m.name] = true
		original, mutated, err := m.mutate()
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		} else if wanted(i, m.name) {
			if shared[m.pkg] == nil {
				shared[m.pkg] = newProgram(m.pkg)
			}
			all = append(all, newAttempt(m, i+1, shared[m.pkg], original, mutated))
		}
	}
	for _, a := range all {
		t.Run(strings.ReplaceAll(a.name, " ", "_"), func(t *testing.T) {
			t.Parallel() // one compiles while another waits for its timeouts
			a.try(t, dir)
		})
	}
}

// selection returns a function that selects mutants by their index in the table and name.
func selection(text string) (func(i int, name string) bool, error) {
	part, parts := 1, 1<<30
	if n, _ := fmt.Sscanf(text, "%d/%d", &part, &parts); n < 2 && text != "" {
		pattern, err := regexp.Compile(text)
		return func(_ int, name string) bool { return pattern.MatchString(name) }, err
	}
	if part < 1 || part > parts {
		return nil, fmt.Errorf("KEYHATCH_MUTANTS is %q, want a part such as 1/1 or 2/3", text)
	}
	return func(i int, _ string) bool { return i%parts == part-1 }, nil
}

// mutate returns the file's text without and with the fault.
func (m mutant) mutate() (original, mutated []byte, err error) {
	original, err = os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, nil, err
	}
	mutated = original
	for i := 0; i < len(m.edits); i += 2 {
		old, broken := []byte(m.edits[i]), []byte(m.edits[i+1])
		if n := bytes.Count(mutated, old); n != 1 {
			return nil, nil, fmt.Errorf("the mutant is out of date: %s has this text %d times, want once:\n%s", m.file, n, old)
		}
		mutated = bytes.Replace(mutated, old, broken, 1)
	}
	return original, mutated, nil
}

// An attempt is the test of one mutant.
type attempt struct {
	mutant
	number   int
	unbroken *program // without an active mutant
	broken   *program // the same program, or one with only this mutant
}

// readsSource is the package whose tests read source text. They must read the mutant's.
const readsSource = "./internal/integration/requirements"

// overlayVariable names, for these tests, a file in the format of go build -overlay.
const overlayVariable = "KEYHATCH_OVERLAY"

// newAttempt puts the mutant into the package's shared program if it can be switched.
func newAttempt(m mutant, number int, shared *program, original, mutated []byte) attempt {
	a := attempt{m, number, shared, shared}
	inserts, ok := switched(number, original, mutated)
	if ok && m.pkg != readsSource {
		shared.inserts[m.file] = append(shared.inserts[m.file], inserts...)
		return a
	}
	a.broken = newProgram(m.pkg)
	a.broken.files[m.file] = mutated
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
		t.Errorf("the mutant survived %s -run %q, in %v, %v of it to compile: no test detects it\n%s", a.pkg, a.run, took, compiled, strings.Join(a.edits, "\n-->\n"))
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
