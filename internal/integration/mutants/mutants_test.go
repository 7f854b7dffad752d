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

// A mutant is a deliberate break and the tests that must notice it.
type mutant struct {
	name  string
	file  string // from the root of the repository
	edits edits
	pkg   string // of the tests, from the root
	run   string // which of them; the narrower the quicker
}

// edits are old and new texts by turns. Each old text occurs exactly once, so
// that whoever changes the line is asked to look after the mutant too.
type edits []string

// root is the repository's.
const root = "../../.."

// every break in the table is noticed by the tests named beside it.
//
// By default only the texts are checked, and one mutant is tried. KEYHATCH_MUTANTS
// set to 1/1 tries all, and 2/3 the second of three parts. Another text is a regular
// expression of names.
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
			t.Parallel() // while one is compiled, another one waits for its timeouts
			a.try(t, dir)
		})
	}
}

// selection returns which mutants are wanted, by their place in the table and name.
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

// mutate returns the file's text without and with the break in it.
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

// An attempt tries a mutant.
type attempt struct {
	mutant
	number   int
	unbroken *program // with no mutant switched on
	broken   *program // the same one, or one with this mutant alone
}

// readsSource is the package whose tests read source text, in which they must see the
// mutant.
const readsSource = "./internal/integration/requirements"

// overlayVariable tells those tests of a file as go build -overlay takes it.
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

// try demands that the mutant compiles, and that a test fails with it and none
// without.
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
		t.Errorf("the mutant survived %s -run %q, in %v, %v of it to compile: no test notices\n%s", a.pkg, a.run, took, compiled, strings.Join(a.edits, "\n-->\n"))
		return
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !exit.Exited() {
		t.Fatalf("the tests did not come to an end: %v\n%s", err, out)
	}
	t.Logf("killed in %v, %v of it to compile, by %s", took, compiled, symptom(out))
}

// command runs in the root, with the short counts.
func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = root
	c.Env = append(os.Environ(), "KEYHATCH_SOAK=", "KEYHATCH_MUTANTS=")
	return c
}

var failure = regexp.MustCompile(`(?m)^ *--- FAIL: \S+|^panic: .{0,80}|^fatal error: .*`)

// symptom is how a failed run ended.
func symptom(out []byte) string {
	found := failure.FindAll(out, 4)
	return strings.TrimSpace(string(bytes.Join(found, []byte(", "))))
}
